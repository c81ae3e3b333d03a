"""What is seen from outside: logs without personal data, and Prometheus metrics."""
