"""The pages that people see. `routes` and `error_page` are the whole interface."""

from starlette.routing import Mount, Route

from alertd.web.pages import board, compose, doctor, files, live, mine, plans, revise, settings, sign_in
from alertd.web.pages.errors import error_page
from alertd.web.templating import STATIC_DIR

routes: list[Route | Mount] = [
    Route("/", sign_in.start),
    Route("/sign-in", sign_in.show_sign_in, methods=["GET"]),
    Route("/sign-in", sign_in.sign_in, methods=["POST"]),
    Route("/sign-in/{link}", sign_in.show_link, methods=["GET"]),
    Route("/sign-in/{link}", sign_in.use_link, methods=["POST"]),
    Route("/sign-out", sign_in.sign_out, methods=["POST"]),
    Route("/board", board.show_board),
    Route("/posts/new", compose.show_form, methods=["GET"]),
    Route("/posts/new", compose.take_form, methods=["POST"]),
    Route("/posts/{post}", board.show_post),
    Route("/alerts/{alert}", live.show_alert),
    Route("/alerts/{alert}/people", live.show_people),
    Route("/alerts/{alert}/people/{state}", live.show_list),
    Route("/alerts/{alert}/answers", live.answer_for, methods=["POST"]),
    Route("/alerts/{alert}/call-off", revise.show_call_off, methods=["GET"]),
    Route("/alerts/{alert}/call-off", revise.call_off, methods=["POST"]),
    Route("/alerts/{alert}/update", revise.show_update, methods=["GET"]),
    Route("/alerts/{alert}/update", revise.update, methods=["POST"]),
    Route("/plans", plans.show_plans),
    Route("/plans/{plan}", plans.show_plan, methods=["GET"]),
    Route("/plans/{plan}", plans.take_plan, methods=["POST"]),
    Route("/doctor", doctor.show_doctor),
    Route("/me", mine.show_mine),
    Route("/me/alerts", mine.show_inbox),
    Route("/me/alerts/{alert}", mine.answer, methods=["POST"]),
    Route("/me/tests/{alert}", mine.read_test),
    Route("/me/session", mine.read_session),
    Route("/me/settings", settings.show_settings, methods=["GET"]),
    Route("/me/settings", settings.change_password, methods=["POST"]),
    Route("/me/settings/quiet-hours", settings.change_quiet_hours, methods=["POST"]),
    Route("/me/settings/self-test", settings.change_self_test, methods=["POST"]),
    Route("/service-worker.js", files.service_worker),
    Route("/manifest.webmanifest", files.manifest),
    Route("/favicon.ico", files.favicon),
    Mount("/static", files.KeptFiles(directory=STATIC_DIR), name="static"),
]

__all__ = ["error_page", "routes"]
