"""GET /metrics: the installation in numbers, in the text format of Prometheus. The names stand here, once."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alertd.hub import Hub
from alertd.service.measuring import Labels, Measures
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other

DELIVERIES: Final = "alertd_deliveries"
OLDEST_DUE: Final = "alertd_oldest_due_seconds"
OUTCOMES: Final = "alertd_outcomes_total"
CIRCUITS: Final = "alertd_circuits"
PROCESSES: Final = "alertd_processes"
HELD: Final = "alertd_held_deliveries"
CONNECTIONS: Final = "alertd_stream_connections"
EVENT_LAG: Final = "alertd_event_lag"
SMS_PARTS: Final = "alertd_sms_parts_today"
SELF_TEST: Final = "alertd_self_test_last_success_timestamp_seconds"
ACTIVE_ALERTS: Final = "alertd_active_alerts"
SOURCE_AGE: Final = "alertd_source_age_seconds"

NAMES: Final = (
    DELIVERIES,
    OLDEST_DUE,
    OUTCOMES,
    CIRCUITS,
    PROCESSES,
    HELD,
    CONNECTIONS,
    EVENT_LAG,
    SMS_PARTS,
    SELF_TEST,
    ACTIVE_ALERTS,
    SOURCE_AGE,
)


async def show_metrics(request: Request) -> Response:
    """The numbers as they stood within the last five seconds. A store that is away is a 503, as everywhere."""
    web = web_of(request)
    measures = await in_thread(lambda: web.measured.of(web.rt))
    registry = CollectorRegistry()
    registry.register(_Once(list(_families(measures, web.hub, web.number))))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Once(Collector):
    """What was measured for one answer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(measures: Measures, hub: Hub, number: int) -> Iterable[Metric]:
    yield _gauges(DELIVERIES, "Deliveries, recent or not over", ("channel", "state"), measures.deliveries)
    oldest: dict[Labels, float] = {(channel,): age for channel, age in measures.oldest_due.items()}
    yield _gauges(OLDEST_DUE, "Age of the oldest due delivery", ("channel",), oldest)
    outcomes = CounterMetricFamily(OUTCOMES, "Attempts by outcome", labels=("channel", "provider", "outcome", "code"))
    for labels, count in measures.outcomes.items():
        outcomes.add_metric(labels, count)
    yield outcomes
    names = ("channel", "provider", "lane", "state")
    yield _gauges(CIRCUITS, "Workers that avoid a provider", names, measures.circuits)
    yield _gauges(PROCESSES, "Living processes", ("role", "channel"), measures.processes)
    held: dict[Labels, float] = {(channel,): count for channel, count in measures.held.items()}
    yield _gauges(HELD, "Deliveries that wait for an operator", ("channel",), held)
    process = (str(number),)
    lag = max(0, measures.head - hub.offset)
    yield _gauges(CONNECTIONS, "Live connections of the process that answers", ("process",), {process: hub.size})
    yield _gauges(EVENT_LAG, "Events the process that answers has not told yet", ("process",), {process: lag})
    yield GaugeMetricFamily(SMS_PARTS, "SMS parts accepted today", value=measures.sms_parts)
    success = measures.self_test_success_at
    taken = "When a self-test was last accepted by the providers, 0: never"
    yield GaugeMetricFamily(SELF_TEST, taken, value=success.timestamp() if success else 0)
    yield GaugeMetricFamily(ACTIVE_ALERTS, "Alerts under way", value=measures.active_alerts)
    ages: dict[Labels, float] = {(source,): age for source, age in measures.source_ages.items()}
    yield _gauges(SOURCE_AGE, "Time since a source was last heard", ("source",), ages)


def _gauges(name: str, text: str, labels: tuple[str, ...], values: Mapping[Labels, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


OTHERS: Final = (
    Other(
        "GET", "/metrics", "The installation in numbers, for Prometheus", ((200, "they"), (503, "the store is away"))
    ),
)
routes: Final = [Route("/metrics", show_metrics)]
