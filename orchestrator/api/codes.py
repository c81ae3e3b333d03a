"""
Every error code that the API answers with, and what it means.

docs/http-api.md and the OpenAPI document list them; a test compares them with what is raised.
"""

from __future__ import annotations

EVENT_CODES: dict[str, str] = {
    "bad_json": "It is not JSON",
    "bad_text": "A string in it is not Unicode text",
    "duplicate_key": "An object has a key twice",
    "too_many_keys": "There are more than 10 000 different keys",
    "number_too_large": "A whole number has more than 64 bits, or a number is not finite",
    "too_deep": "It is nested more deeply than is read",
    "not_a_batch": "A batch is a JSON array",
    "not_an_event": "An event is a JSON object",
    "not_a_cloudevent": "It has no `specversion`; `example` is an event made of it",
    "missing_attribute": "`id`, `source` or `type` is missing or blank",
    "bad_attribute": "An attribute has a wrong name, type, length or form, or is given twice",
    "bad_data": "The data are no JSON object, or given twice",
    "no_recipient": "Neither the data nor `subject` names a recipient",
    "bad_recipient": "No recipient has a usable id",
    "reserved": "`type` begins with `kaskad.`, or `source` is `kaskad`: those are Kaskad's own",
    "time_in_future": "`time` is more than 5 minutes ahead of our clock",
    "not_before_too_far": "`kaskadnotbefore` is more than 366 days ahead",
    "too_large": "The event, batch or body is larger than the limit",
    "conflict": "The same `source` and `id` was published before with another body",
    "no_value": "A Kafka record has no value (in dead letters only)",
}
"""
Of an event, in ``error.code`` of its result, or of the whole body; over Kafka, the reason of its
dead letter.
"""

CALL_CODES: dict[str, str] = {
    "refused": "None of the events of a batch was accepted; see `results`",
    "unauthorized": "There is no key, or it is not valid",
    "key_expired": "The key is over; make another one",
    "name_taken": "A valid key has this name already",
    "token_expired": "A person's token is over; their page asks its own server for another",
    "forbidden": "The key lacks the scope of the call, or the token is another person's",
    "foreign_origin": "A web page of an origin that is not in `http.browser_origins`",
    "forged": "A provider's webhook is not proven to be the provider's",
    "bad_request": "It is not HTTP, or its headers are too large",
    "bad_body": "The body ended early",
    "bad_field": "A field of the body has a wrong value",
    "bad_parameter": "A query parameter is unknown or has a wrong value",
    "not_an_object": "The body must be a JSON object",
    "body_timeout": "The body did not end within 20 seconds",
    "unsupported_media_type": "A media type or charset that is not read",
    "compressed_body": "The body is compressed",
    "not_found": "There is nothing at this path",
    "method_not_allowed": "The path does not take this method",
    "unknown_message": "There is no such message",
    "unknown_recipient": "There is no such recipient",
    "unknown_dead_letter": "There is no such dead letter",
    "unknown_medium": "There is no such medium, or its provider is configured no more",
    "unknown_attempt": "The message has no such attempt",
    "unknown_kind": "Nothing of this name can be imported or exported",
    "nothing_found": "No message is found by this id, event, person or provider's id",
    "unknown_provider": "There is no such provider",
    "unknown_channel": "The configuration has no such channel",
    "unknown_policy": "The configuration has no such policy",
    "unknown_journey": "There is no such journey, or no run of one with this id",
    "unknown_experiment": "No policy has, and no message had, an experiment of this name",
    "unknown_key": "There is no such API key, or it was revoked before",
    "unknown_code": "No pool has this code",
    "not_paused": "It is not paused",
    "not_unknown": "The attempt's outcome is known",
    "already_ended": "The message has ended; `message_status` says how",
    "several_recipients": "Several people share the phone or mailbox; name one by id",
    "not_linkable": "The channel cannot be linked by a messenger's link",
    "too_long_ago": "Changes that old are not known any more; read the whole inbox",
    "profile_too_large": "With this the profile would be larger than it may be",
    "too_many_requests": "A key or person makes more requests than it may; see Retry-After",
    "too_many_failures": "Too many wrong keys from one address; wait a minute",
    "busy": "Too many requests are waiting; nothing was taken, try again in a second",
    "unavailable": "The service is stopping, or its store is busy or unreachable",
    "internal_error": "A fault of ours, which is logged; nothing was acknowledged",
}
"""Of a call, in the problem document's ``code``."""
