"""The web process as a whole: what it opens it closes."""

from functools import partial

from alertd.hub import Hub
from alertd.service import watching
from alertd.service.acknowledging import acknowledge_all
from alertd.service.group_commit import GroupCommit
from alertd.store.engine import Store
from alertd.web.app import build_app
from alertd.web.context import Web
from alertd.web.limits import Limits
from tests.installation import Bell, Clock, make_runtime, patient
from tests.workers.pigeons import Pigeon


class Closing(Pigeon):
    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


async def test_the_connections_to_every_provider_are_given_back(store: Store, clock: Clock) -> None:
    rt = make_runtime(store, clock, Bell())
    first, second = Closing(), Closing()
    web = Web(
        rt=rt,
        hub=Hub(store, partial(watching.summarise, rt), clock, 60),
        channels={"email": first},
        limits=Limits(),
        acknowledgements=GroupCommit(partial(acknowledge_all, rt)),
        session_secret=b"the secret of sessions",
        vapid_public_key="",
        vapid_key_id="",
        patient=patient(rt),
        seconds={"email": second},
    )
    app = build_app(web, ())
    async with app.router.lifespan_context(app):
        assert not first.is_closed
    assert (first.is_closed, second.is_closed) == (True, True)
