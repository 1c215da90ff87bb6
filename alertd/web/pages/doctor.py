"""The doctor's findings as a page for admins."""

from starlette.requests import Request
from starlette.responses import Response

from alertd.core.roles import Role
from alertd.service.checkup import examine
from alertd.web.templating import signed_in


async def show_doctor(request: Request) -> Response:
    page, _ = await signed_in(request, Role.ADMIN)
    findings = await examine(page.web.patient)
    shown = [(finding.level, finding.check, finding.message(page.language)) for finding in findings]
    return page.respond("doctor.html", findings=shown, at=page.web.rt.now())
