"""The JSON API under /api/v1: each handler reads a call, lets `service` act, and words the answer."""

import hashlib
from typing import Any, Final

from starlette.responses import JSONResponse, Response, StreamingResponse

from alertd.core import cap
from alertd.core.acknowledgement import Way
from alertd.core.errors import AddressError, Invalid
from alertd.core.roles import Role
from alertd.service import (
    access,
    acting,
    directory,
    exporting,
    importing,
    planning,
    posting,
    publishing,
    reaching,
    reminding,
    replaying,
    revising,
    sources,
    templates,
    watching,
    webhooks,
)
from alertd.service.acknowledging import wish_of
from alertd.web import answers, models
from alertd.web.bodies import IMPORT_MAX, read_body, require_media
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import CURSOR, LIMIT, Call, Endpoint, Header, Query, page_answer, read_limit
from alertd.web.limits import REPLAYS, TESTS

_ROOT: Final = "/api/v1"
_DRY_RUN: Final = Query("dry_run", "true: say what would change, and change nothing", ("true", "false"))
IDEMPOTENCY_KEY: Final = Header("Idempotency-Key", "the same key and body answers the first result again")
_OPEN: Final = Query("open", "true: only what can still be sent or stopped", ("true", "false"))
_REVISION: Final = Query("revision", "the number of one, otherwise the last")
_STATE: Final = Query("state", "only these", ("outstanding", "acknowledged", "unreachable", "outdated", "supervisors"))


async def post_posts(call: Call) -> Response:
    web = web_of(call.request)
    key = call.request.headers.get("idempotency-key")
    draft = call.body.draft()
    posted = await in_thread(lambda: posting.post(web.rt, call.actor, draft, key))
    return JSONResponse(posted.body, 201, headers={"Idempotency-Replayed": "true"} if posted.repeated else None)


async def get_posts(call: Call) -> Response:
    rt, limit = web_of(call.request).rt, read_limit(call.request)
    before = call.request.query_params.get("cursor")
    items = await in_thread(lambda: posting.read_board(rt, call.actor, before=before, limit=limit + 1))
    return page_answer(items, limit, lambda item: str(item["id"]))


async def get_post(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse(await in_thread(lambda: posting.read_post(rt, call.actor, call.path("id"))))


async def check_post(call: Call) -> Response:
    rt, draft = web_of(call.request).rt, call.body.draft()
    if not draft.urgent:
        raise Invalid([("urgent", "only an urgent post sends anything that could be foreseen")])
    reach = await in_thread(lambda: posting.check(rt, draft))
    return JSONResponse(reach.as_json())


async def get_alerts(call: Call) -> Response:
    rt, limit = web_of(call.request).rt, read_limit(call.request)
    before = call.request.query_params.get("cursor")
    items = await in_thread(lambda: watching.read_alerts(rt, call.actor, before=before, limit=limit + 1))
    return page_answer(items, limit, lambda item: str(item["id"]))


async def get_alert(call: Call) -> Response:
    rt = web_of(call.request).rt
    alert = await in_thread(lambda: watching.read_alert(rt, call.actor, call.path("id")))
    return JSONResponse({**alert, **await in_thread(lambda: watching.read_course(rt, call.path("id")))})


async def post_revision(call: Call) -> Response:
    rt, revision = web_of(call.request).rt, call.body.revision()
    key = call.request.headers.get("idempotency-key")
    return JSONResponse(await in_thread(lambda: revising.revise(rt, call.actor, call.path("id"), revision, key)), 201)


async def post_reminder(call: Call) -> Response:
    rt, key = web_of(call.request).rt, call.request.headers.get("idempotency-key")
    return JSONResponse(await in_thread(lambda: reminding.remind(rt, call.actor, call.path("id"), key)), 201)


async def get_plans(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"items": await in_thread(lambda: planning.list_plans(rt)), "next": None})


async def put_plan(call: Call) -> Response:
    rt, body, plan_id = web_of(call.request).rt, call.body, _path_id(call)
    plan, made = await in_thread(lambda: planning.put_plan(rt, call.actor, plan_id, body.name, body.plan.plan()))
    return JSONResponse(plan, 201 if made else 200)


async def delete_plan(call: Call) -> Response:
    rt = web_of(call.request).rt
    await in_thread(lambda: planning.delete_plan(rt, call.actor, call.path("id")))
    return Response(status_code=204)


async def get_templates(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"items": await in_thread(lambda: templates.list_templates(rt)), "next": None})


async def get_template(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse(await in_thread(lambda: templates.get_template(rt, call.path("id"))))


async def put_template(call: Call) -> Response:
    rt, body, template_id = web_of(call.request).rt, call.body, _path_id(call)
    template, made = await in_thread(
        lambda: templates.put_template(rt, call.actor, template_id, body.name, body.template(), hidden=body.hidden)
    )
    return JSONResponse(template, 201 if made else 200)


async def delete_template(call: Call) -> Response:
    rt = web_of(call.request).rt
    await in_thread(lambda: templates.delete_template(rt, call.actor, call.path("id")))
    return Response(status_code=204)


async def post_acknowledgement(call: Call) -> Response:
    web, body = web_of(call.request), call.body
    wish = wish_of(
        call.actor,
        call.path("id"),
        Way.API if call.actor.kind == "token" else Way.PAGE,
        person=body.person,
        answer=body.answer,
        comment=body.comment,
        answered_at=body.answered_at,
        revision=body.revision,
    )
    kept = await web.acknowledgements.submit(wish)
    return JSONResponse(dict(kept.body))


async def get_summary(call: Call) -> Response:
    rt = web_of(call.request).rt
    await in_thread(lambda: watching.read_alert(rt, call.actor, call.path("id")))
    return JSONResponse(await in_thread(lambda: watching.summarise(rt, call.path("id"))))


async def get_recipients(call: Call) -> Response:
    rt, limit = web_of(call.request).rt, read_limit(call.request)
    state: Any = call.request.query_params.get("state")
    after = call.request.query_params.get("cursor")
    await in_thread(lambda: watching.read_alert(rt, call.actor, call.path("id")))
    items, cursor = await in_thread(
        lambda: watching.list_recipients(rt, call.path("id"), state=state, after=after, limit=limit)
    )
    return JSONResponse({"items": items, "next": cursor})


async def get_export(call: Call) -> Response:
    rt, alert_id = web_of(call.request).rt, call.path("id")
    await in_thread(lambda: watching.read_alert(rt, call.actor, alert_id))
    named = {"Content-Disposition": f'attachment; filename="alert-{alert_id}.csv"', "Cache-Control": "no-store"}
    text = await in_thread(lambda: exporting.export(rt, alert_id))
    return StreamingResponse(text, media_type="text/csv; charset=utf-8", headers=named)


async def get_cap(call: Call) -> Response:
    rt, alert_id = web_of(call.request).rt, call.path("id")
    given = call.request.query_params.get("revision")
    revision = _number(given)
    if given is not None and revision is None:
        raise Invalid([("revision", "must be the number of a revision")])
    document = await in_thread(lambda: publishing.read_message(rt, alert_id, revision))
    return _unless_known(call, document, f"{cap.MEDIA}; charset=utf-8")


async def get_feed(call: Call) -> Response:
    rt = web_of(call.request).rt
    return _unless_known(call, await in_thread(lambda: publishing.read_feed(rt)), "application/atom+xml; charset=utf-8")


def _unless_known(call: Call, document: bytes, media: str) -> Response:
    """The document, or 304 for whoever has it already; RFC 9110 section 13.1.2."""
    tag = f'"{hashlib.sha256(document).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = call.request.headers.get("if-none-match", "")
    if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(document, media_type=media, headers=headers)


async def get_people(call: Call) -> Response:
    rt, limit = web_of(call.request).rt, read_limit(call.request)
    after = call.request.query_params.get("cursor")
    items = await in_thread(lambda: directory.list_people(rt, after=after, limit=limit + 1))
    return page_answer(items, limit, lambda item: str(item["id"]))


async def put_person(call: Call) -> Response:
    rt = web_of(call.request).rt
    draft = call.body.draft(_path_id(call))
    person, made = await in_thread(lambda: directory.put_person(rt, call.actor, draft))
    return JSONResponse(person, 201 if made else 200)


async def import_people(call: Call) -> Response:
    rt = web_of(call.request).rt
    require_media(call.request, "text/csv", "text/plain", "application/octet-stream")
    dry_run = call.request.query_params.get("dry_run") == "true"
    text = importing.decode(await read_body(call.request, IMPORT_MAX))
    report = await in_thread(lambda: importing.import_people(rt, call.actor, text, dry_run=dry_run))
    if report.errors and not dry_run:
        raise Invalid([(f"row {row}: {field}", message) for row, field, message in report.errors])
    return JSONResponse(report.as_json())


async def get_groups(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"items": await in_thread(lambda: directory.list_groups(rt)), "next": None})


async def put_group(call: Call) -> Response:
    rt, body, group_id = web_of(call.request).rt, call.body, _path_id(call)
    supervisors = list(dict.fromkeys(body.supervisors))
    group, made = await in_thread(
        lambda: directory.put_group(rt, call.actor, group_id, body.name, body.parent, supervisors)
    )
    return JSONResponse(group, 201 if made else 200)


async def get_boards(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"items": await in_thread(lambda: directory.list_boards(rt)), "next": None})


async def put_board(call: Call) -> Response:
    rt, body, board_id = web_of(call.request).rt, call.body, _path_id(call)
    board, made = await in_thread(lambda: directory.put_board(rt, call.actor, board_id, body.name))
    return JSONResponse(board, 201 if made else 200)


def _path_id(call: Call) -> str:
    """The id in the path; a body that names another one is refused."""
    path_id = call.path("id")
    if call.body.id is not None and call.body.id != path_id:
        raise Invalid([("id", f"must be {path_id!r} as in the path, or be left out")])
    return path_id


async def post_token(call: Call) -> Response:
    rt, body = web_of(call.request).rt, call.body
    issued = await in_thread(lambda: access.create_token(rt, call.actor, body.person, Role.parse(body.role)))
    return JSONResponse({"id": issued.id, "token": issued.secret, "person": body.person, "role": body.role}, 201)


async def delete_token(call: Call) -> Response:
    rt = web_of(call.request).rt
    await in_thread(lambda: access.revoke_token(rt, call.actor, call.path("id")))
    return Response(status_code=204)


async def get_push_key(call: Call) -> Response:
    return JSONResponse({"public_key": web_of(call.request).vapid_public_key})


async def post_subscription(call: Call) -> Response:
    web, body = web_of(call.request), call.body
    raw = {
        "endpoint": body.endpoint,
        "p256dh": body.keys.p256dh,
        "auth": body.keys.auth,
        "key_id": web.vapid_key_id,
    }
    try:
        address = web.channels["webpush"].parse_address(raw)
    except AddressError as error:
        name = error.field if error.field == "endpoint" else f"keys.{error.field}"
        raise Invalid([(name, error.message)]) from error
    subscription_id, made = await in_thread(
        lambda: reaching.subscribe(web.rt, call.actor, "webpush", address, body.label)
    )
    return JSONResponse({"id": subscription_id}, 201 if made else 200)


async def delete_subscription(call: Call) -> Response:
    rt = web_of(call.request).rt
    await in_thread(lambda: reaching.unsubscribe(rt, call.actor, call.path("id")))
    return Response(status_code=204)


async def post_test(call: Call) -> Response:
    web = web_of(call.request)
    web.limits.spend(TESTS, "test", call.actor.person_id)
    return JSONResponse({"alert": await in_thread(lambda: reaching.send_test(web.rt, call.actor))}, 201)


async def get_sources(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"items": await in_thread(lambda: sources.list_sources(rt)), "next": None})


async def post_source(call: Call) -> Response:
    rt, body = web_of(call.request).rt, call.body
    made = await in_thread(lambda: sources.make_source(rt, call.actor, body.id, body.kind, body.watch()))
    return JSONResponse({"id": made.id, "secret": made.secret}, 201)


async def put_watch(call: Call) -> Response:
    rt, watch = web_of(call.request).rt, call.body.watch()
    await in_thread(lambda: sources.change_watch(rt, call.actor, call.path("id"), watch))
    return Response(status_code=204)


async def post_secret(call: Call) -> Response:
    rt = web_of(call.request).rt
    made = await in_thread(lambda: sources.renew_secret(rt, call.actor, call.path("id")))
    return JSONResponse({"id": made.id, "secret": made.secret}, 201)


async def put_certificates(call: Call) -> Response:
    rt, pem = web_of(call.request).rt, call.body.certificates
    items = await in_thread(lambda: sources.set_certificates(rt, call.actor, call.path("id"), pem))
    return JSONResponse({"items": items})


async def get_webhooks(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"items": await in_thread(lambda: webhooks.list_webhooks(rt)), "next": None})


async def post_webhook(call: Call) -> Response:
    rt, body = web_of(call.request).rt, call.body
    made = await in_thread(lambda: webhooks.make_webhook(rt, call.actor, body.id, body.url, body.types))
    return JSONResponse({"id": made.id, "secret": made.secret}, 201)


async def post_webhook_secret(call: Call) -> Response:
    rt = web_of(call.request).rt
    made = await in_thread(lambda: webhooks.renew_secret(rt, call.actor, call.path("id")))
    return JSONResponse({"id": made.id, "secret": made.secret}, 201)


async def post_ping(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse({"message": await in_thread(lambda: webhooks.ping(rt, call.actor, call.path("id")))}, 202)


async def delete_webhook(call: Call) -> Response:
    rt = web_of(call.request).rt
    await in_thread(lambda: webhooks.delete_webhook(rt, call.actor, call.path("id")))
    return Response(status_code=204)


async def get_rules(call: Call) -> Response:
    rt = web_of(call.request).rt
    return JSONResponse((await in_thread(lambda: sources.read_book(rt)))[0])


async def put_rules(call: Call) -> Response:
    rt, body = web_of(call.request).rt, call.body
    return JSONResponse(await in_thread(lambda: sources.save_book(rt, call.actor, body.text, body.on_version)))


async def post_replay(call: Call) -> Response:
    web, body = web_of(call.request), call.body
    web.limits.spend(REPLAYS, call.actor.person_id)
    days = replaying.span(web.rt, body.start, body.end)
    played = await in_thread(
        lambda: replaying.replay(web.rt, days, text=body.text, source=body.source, most=replaying.AT_ONCE)
    )
    return JSONResponse(played)


async def get_observations(call: Call) -> Response:
    rt, limit = web_of(call.request).rt, read_limit(call.request)
    query = call.request.query_params
    before, only_open = _number(query.get("cursor")), query.get("open") == "true"
    items = await in_thread(lambda: sources.list_observations(rt, before=before, limit=limit + 1, only_open=only_open))
    return page_answer(items, limit, lambda item: str(item["observation"]))


async def post_decision(call: Call) -> Response:
    rt, body = web_of(call.request).rt, call.body
    number = _number(call.path("id")) or 0
    return JSONResponse(await in_thread(lambda: acting.settle(rt, call.actor, number, send=body.send)))


def _number(text: str | None) -> int | None:
    """The number of an observation; None for what is none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 18 else None


ENDPOINTS: Final = (
    Endpoint("POST", f"{_ROOT}/posts", Role.MANAGER, "Post; an urgent post becomes an alert", post_posts,
             answers.PostedAnswer, models.PostBody, 201,
             headers=(IDEMPOTENCY_KEY,)),
    Endpoint("POST", f"{_ROOT}/posts/check", Role.MANAGER, "What an urgent post would come to; sends nothing",
             check_post, answers.ReachAnswer, models.PostBody),
    Endpoint("GET", f"{_ROOT}/posts", Role.STAFF, "The board, newest first", get_posts,
             answers.PageAnswer[answers.PostAnswer],
             query=(CURSOR, LIMIT)),
    Endpoint("GET", f"{_ROOT}/posts/{{id}}", Role.STAFF, "One post", get_post, answers.PostAnswer),
    Endpoint("GET", f"{_ROOT}/alerts", Role.STAFF, "Alerts, newest first", get_alerts,
             answers.PageAnswer[answers.AlertAnswer],
             query=(CURSOR, LIMIT)),
    Endpoint("GET", f"{_ROOT}/alerts/{{id}}", Role.STAFF, "One alert, all it has said, and its timetable", get_alert,
             answers.AlertCourseAnswer),
    Endpoint("POST", f"{_ROOT}/alerts/{{id}}/revisions", Role.MANAGER, "Update an alert, or call it off", post_revision,
             answers.RevisedAnswer, models.RevisionBody, 201, headers=(IDEMPOTENCY_KEY,)),
    Endpoint("POST", f"{_ROOT}/alerts/{{id}}/reminders", Role.MANAGER, "Send it again to whoever has not answered",
             post_reminder, answers.RunAnswer, status=201, headers=(IDEMPOTENCY_KEY,)),
    Endpoint("POST", f"{_ROOT}/alerts/{{id}}/acknowledgements", Role.STAFF, "Acknowledge, or answer",
             post_acknowledgement, answers.AcknowledgementAnswer, models.AcknowledgementBody),
    Endpoint("GET", f"{_ROOT}/alerts/{{id}}/summary", Role.VIEWER, "Who has answered, in numbers", get_summary,
             answers.SummaryAnswer),
    Endpoint("GET", f"{_ROOT}/alerts/{{id}}/recipients", Role.VIEWER, "Who has answered, by person", get_recipients,
             answers.PageAnswer[answers.RecipientAnswer], query=(_STATE, CURSOR, LIMIT)),
    Endpoint("GET", f"{_ROOT}/alerts/{{id}}/export", Role.VIEWER, "Every delivery with its evidence, as CSV",
             get_export, None, gives="text/csv"),
    Endpoint("GET", f"{_ROOT}/alerts/{{id}}/cap", Role.VIEWER, "What an alert says, or said, as CAP 1.2", get_cap, None,
             query=(_REVISION,), gives=cap.MEDIA),
    Endpoint("GET", f"{_ROOT}/alerts.atom", Role.VIEWER, "The latest revisions of alerts, each with its CAP", get_feed,
             None, gives="application/atom+xml"),
    Endpoint("GET", f"{_ROOT}/people", Role.MANAGER, "People", get_people,
             answers.PageAnswer[answers.PersonAnswer], query=(CURSOR, LIMIT)),
    Endpoint("PUT", f"{_ROOT}/people/{{id}}", Role.MANAGER, "Make or replace a person", put_person,
             answers.PersonAnswer, models.PersonBody),
    Endpoint("POST", f"{_ROOT}/people/import", Role.MANAGER, "Import people from CSV", import_people,
             answers.ImportAnswer, query=(_DRY_RUN,), takes="text/csv"),
    Endpoint("GET", f"{_ROOT}/groups", Role.ADMIN, "Groups", get_groups, answers.PageAnswer[answers.GroupAnswer]),
    Endpoint("PUT", f"{_ROOT}/groups/{{id}}", Role.ADMIN, "Make or replace a group", put_group, answers.GroupAnswer,
             models.GroupBody),
    Endpoint("GET", f"{_ROOT}/plans", Role.MANAGER, "Plans by name", get_plans, answers.PageAnswer[answers.PlanAnswer]),
    Endpoint("PUT", f"{_ROOT}/plans/{{id}}", Role.ADMIN, "Make or replace a plan", put_plan, answers.PutPlanAnswer,
             models.NamedPlanBody),
    Endpoint("DELETE", f"{_ROOT}/plans/{{id}}", Role.ADMIN, "Forget a plan that no template uses", delete_plan, None,
             status=204),
    Endpoint("GET", f"{_ROOT}/templates", Role.MANAGER, "What urgent posts can be started from", get_templates,
             answers.PageAnswer[answers.TemplateAnswer]),
    Endpoint("GET", f"{_ROOT}/templates/{{id}}", Role.MANAGER, "One template", get_template, answers.TemplateAnswer),
    Endpoint("PUT", f"{_ROOT}/templates/{{id}}", Role.ADMIN, "Make or replace a template", put_template,
             answers.TemplateAnswer, models.TemplateBody),
    Endpoint("DELETE", f"{_ROOT}/templates/{{id}}", Role.ADMIN, "Forget a template, or what was changed of it",
             delete_template, None, status=204),
    Endpoint("GET", f"{_ROOT}/boards", Role.ADMIN, "Boards", get_boards, answers.PageAnswer[answers.NameAnswer]),
    Endpoint("PUT", f"{_ROOT}/boards/{{id}}", Role.ADMIN, "Make or rename a board", put_board, answers.NameAnswer,
             models.BoardBody),
    Endpoint("GET", f"{_ROOT}/sources", Role.MANAGER, "Sources, and when they were last heard", get_sources,
             answers.PageAnswer[answers.SourceAnswer]),
    Endpoint("POST", f"{_ROOT}/sources", Role.ADMIN, "Make a source", post_source, answers.SecretAnswer,
             models.SourceBody, 201),
    Endpoint("PUT", f"{_ROOT}/sources/{{id}}/watch", Role.ADMIN, "How a source is asked and watched", put_watch, None,
             models.WatchBody, 204),
    Endpoint("POST", f"{_ROOT}/sources/{{id}}/secret", Role.ADMIN, "Another secret for a source", post_secret,
             answers.SecretAnswer, status=201),
    Endpoint("PUT", f"{_ROOT}/sources/{{id}}/certificates", Role.ADMIN, "Say whose signatures are believed",
             put_certificates, answers.CertificatesAnswer, models.CertificatesBody),
    Endpoint("GET", f"{_ROOT}/webhooks", Role.ADMIN, "Whom other systems are told through, and how that goes",
             get_webhooks, answers.PageAnswer[answers.WebhookAnswer]),
    Endpoint("POST", f"{_ROOT}/webhooks", Role.ADMIN, "Make a webhook", post_webhook, answers.SecretAnswer,
             models.WebhookBody, 201),
    Endpoint("POST", f"{_ROOT}/webhooks/{{id}}/secret", Role.ADMIN, "Another secret for a webhook",
             post_webhook_secret, answers.SecretAnswer, status=201),
    Endpoint("POST", f"{_ROOT}/webhooks/{{id}}/ping", Role.ADMIN, "Send a webhook a message that says nothing",
             post_ping, answers.PingAnswer, status=202),
    Endpoint("DELETE", f"{_ROOT}/webhooks/{{id}}", Role.ADMIN, "Tell a webhook nothing more", delete_webhook, None,
             status=204),
    Endpoint("GET", f"{_ROOT}/rules", Role.MANAGER, "The rules in force", get_rules, answers.RuleBookAnswer),
    Endpoint("PUT", f"{_ROOT}/rules", Role.ADMIN, "Put rules in force", put_rules, answers.RuleBookAnswer,
             models.RuleBookBody),
    Endpoint("POST", f"{_ROOT}/rules/replay", Role.MANAGER, "What rules would have made of what came; sends nothing",
             post_replay, answers.ReplayAnswer, models.ReplayBody),
    Endpoint("GET", f"{_ROOT}/observations", Role.MANAGER, "What sources said, and what became of it",
             get_observations, answers.PageAnswer[answers.ObservationAnswer], query=(CURSOR, LIMIT, _OPEN)),
    Endpoint("POST", f"{_ROOT}/observations/{{id}}/decision", Role.MANAGER, "Send what waits, or stop it",
             post_decision, answers.DecidedAnswer, models.DecisionBody),
    Endpoint("POST", f"{_ROOT}/tokens", Role.ADMIN, "Make a bearer token", post_token, answers.TokenAnswer,
             models.TokenBody, 201),
    Endpoint("DELETE", f"{_ROOT}/tokens/{{id}}", Role.ADMIN, "Revoke a token", delete_token, None, status=204),
    Endpoint("GET", f"{_ROOT}/push/key", None, "The key that browsers subscribe with", get_push_key,
             answers.PushKeyAnswer),
    Endpoint("POST", f"{_ROOT}/me/subscriptions", Role.STAFF, "Reach me on this browser", post_subscription,
             answers.IdAnswer, models.SubscriptionBody, 201),
    Endpoint("DELETE", f"{_ROOT}/me/subscriptions/{{id}}", Role.STAFF, "Reach me there no more", delete_subscription,
             None, status=204),
    Endpoint("POST", f"{_ROOT}/me/test", Role.STAFF, "Send me a test over every way", post_test, answers.TestAnswer,
             status=201),
)  # fmt: skip
