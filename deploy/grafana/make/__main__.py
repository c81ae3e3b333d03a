"""Write every dashboard to its file."""

from pathlib import Path

from deploy.grafana.make import ALL

for name, dashboard in ALL.items():
    (Path(__file__).parents[1] / "dashboards" / f"{name}.json").write_text(
        dashboard.text(), encoding="utf-8"
    )
