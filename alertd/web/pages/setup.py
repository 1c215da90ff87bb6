"""First contact: this device on the home screen, push turned on, and every way tested until its proof is there."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Invalid
from alertd.service import access, reaching
from alertd.service.runtime import Actor
from alertd.web.context import in_thread
from alertd.web.limits import TESTS
from alertd.web.pages.forms import device_of, read_own_form
from alertd.web.templating import Page, signed_in


async def show_setup(request: Request) -> Response:
    page, actor = await signed_in(request)
    return await _setup(page, actor, request.query_params.get("test"))


async def _setup(
    page: Page, actor: Actor, test: str | None, status: int = 200, *, code: str | None = None, fault: str | None = None
) -> Response:
    rt = page.web.rt
    ways = await in_thread(lambda: reaching.list_ways(rt, actor))
    tested = await in_thread(lambda: reaching.read_test(rt, actor, test)) if test else []
    return page.respond(
        "setup.html",
        status,
        device=device_of(page.request),
        ways=ways,
        test=test,
        tested=tested,
        proven=sum(way["proof"] is not None for way in tested),
        code=f"{code[:5]} {code[5:]}" if code else None,
        code_minutes=int(access.CODE_LIFE.total_seconds()) // 60,
        fault=fault,
    )


async def send_test(request: Request) -> Response:
    page, actor = await signed_in(request)
    await read_own_form(request, actor)
    page.web.limits.spend(TESTS, "test", actor.person_id)
    try:
        alert = await in_thread(lambda: reaching.send_test(page.web.rt, actor))
    except Invalid as refusal:
        return await _setup(page, actor, None, 422, fault=page.fault(refusal.details[0][1]))
    return RedirectResponse(f"/me/setup?test={alert['id']}#test", 303)


async def make_code(request: Request) -> Response:
    """A sign-in code, shown once: loading the page again makes another."""
    page, actor = await signed_in(request)
    await read_own_form(request, actor)
    issued = await in_thread(lambda: access.create_code(page.web.rt, actor))
    return await _setup(page, actor, None, code=issued.secret)
