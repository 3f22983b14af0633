"""What receivers get, which receivers there may be, and what happens when they do not answer."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator

import pytest

from schemas.job import Job
from service.api import webhooks
from service.api.background import deliver_due
from service.api.webhooks import UndeliveredError, deliver, require_allowed
from service.jobs.callbacks import Delivery
from service.settings import Settings
from service.worker.keeping import evaluator_environment
from tests.service.fakes import FakeJobs

from .receiver import Receiver, receiver
from .test_audits import submit

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
HERE = Settings(callback_hosts=("127.0.0.1",), callback_secrets=(SECRET,))


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


@pytest.fixture
def job(audit_request) -> Job:
    jobs = FakeJobs()
    made, _ = jobs.submit(audit_request(tags={"team": "growth"}), caller="me")
    jobs.succeed(made.id, "warn")
    return jobs.get(made.id, caller="me")


def send(job: Job, url: str, settings: Settings = HERE) -> None:
    asyncio.run(deliver(Delivery(job, url, 1), settings))


class TestWhatIsSent:
    def test_a_cloud_event_with_the_job(self, job, hook):
        send(job, f"{hook.url}/hook?x=1")

        [got] = hook.received
        event = json.loads(got.body)
        assert got.path == "/hook?x=1"
        assert got.headers["content-type"].startswith("application/cloudevents+json")
        assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "fitcheck.audit.succeeded", job.id)
        assert event["id"] == got.headers["webhook-id"]
        assert Job.model_validate(event["data"]) == job

    def test_the_signature_is_that_of_the_standard(self):
        """The example of https://github.com/standard-webhooks/standard-webhooks, made by its own library."""
        headers = webhooks.signed_headers(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            b'{"test": 2432232314}',
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
            1614265330.9,
        )

        assert headers["webhook-timestamp"] == "1614265330"
        assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_every_secret_signs(self, job, hook):
        """While receivers change from one to the next, either of them verifies."""
        send(job, hook.url, HERE.model_copy(update={"callback_secrets": (SECRET, OTHER)}))

        signatures = hook.received[0].headers["webhook-signature"].split()
        assert len(set(signatures)) == 2
        assert all(signature.startswith("v1,") for signature in signatures)

    def test_no_secret_reaches_evaluators(self):
        assert SECRET not in str(evaluator_environment(HERE, 1))


class TestWhatIsNoSuccess:
    @pytest.mark.parametrize("status", [199 + 101, 400, 404, 500, 503])
    def test_other_answers_are_tried_again(self, job, hook, status):
        hook.answers = [status]

        with pytest.raises(UndeliveredError, match=str(status)) as failed:
            send(job, hook.url)

        assert not failed.value.is_final

    def test_gone_is_final(self, job, hook):
        hook.answers = [410]

        with pytest.raises(UndeliveredError) as failed:
            send(job, hook.url)

        assert failed.value.is_final

    def test_redirects_are_not_followed(self, job, hook):
        """They could lead where the first address was not allowed to."""
        hook.answers = [307]

        with pytest.raises(UndeliveredError, match="redirect"):
            send(job, hook.url)

        assert len(hook.received) == 1

    def test_a_trickle_ends_in_time(self, job, hook, monkeypatch):
        """A byte now and then keeps every read short, and the connection open for ever."""
        monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 0.5)

        def trickle(connection) -> None:
            for _ in range(40):
                connection.write(b"H")
                connection.flush()
                time.sleep(0.1)

        hook.answers = [trickle]
        began = time.monotonic()
        with pytest.raises(UndeliveredError):
            send(job, hook.url)

        assert time.monotonic() - began < 3

    def test_an_endless_answer_is_not_read(self, job, hook):
        def endless(connection) -> None:
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
            try:
                for _ in range(10_000):
                    connection.write(bytes(65536))
            except OSError:
                return

        hook.answers = [endless]
        send(job, hook.url)

    def test_nobody_there(self, job, hook):
        with pytest.raises(UndeliveredError, match="cannot be reached"):
            send(job, "http://127.0.0.1:9")


def settings(**fields: object) -> Settings:
    return Settings(callback_secrets=(SECRET,), **fields)


class TestWhoMayReceive:
    @pytest.mark.parametrize(
        ("url", "code"),
        [
            ("https://other.example/", "callback_host_forbidden"),
            ("https://ci.example.evil.example/", "callback_host_forbidden"),
            ("https://evilci.example/", "callback_host_forbidden"),
            ("https://below.example/", "callback_host_forbidden"),
            ("https://127.0.0.1/", "callback_host_forbidden"),
            ("http://ci.example/", "callback_url_invalid"),
            ("https://user:password@ci.example/", "callback_url_invalid"),
            ("https://ci.example/#x", "callback_url_invalid"),
            ("https://ci.example:x/", "callback_url_invalid"),
            ("https://ci.example/\r\nX: y", "callback_url_invalid"),
            ("ftp://ci.example/", "callback_url_invalid"),
            ("file:///etc/passwd", "callback_url_invalid"),
            ("ci.example", "callback_url_invalid"),
            ("https://a..below.example/", "callback_url_invalid"),
            (f"https://{'a' * 64}.below.example/", "callback_url_invalid"),
        ],
    )
    def test_others_are_refused(self, url, code):
        with pytest.raises(webhooks.CallbackRefusedError) as refused:
            require_allowed(url, settings(callback_hosts="ci.example,*.below.example"))

        assert (refused.value.code, refused.value.problem.field) == (code, "callback.url")

    @pytest.mark.parametrize(
        "url", ["https://ci.example/hook", "https://CI.example:8443/", "https://a.b.below.example/?x=y"]
    )
    def test_the_allowed_ones_are_taken(self, url):
        require_allowed(url, settings(callback_hosts="ci.example,*.below.example"))

    def test_this_machine_may_be_named(self):
        require_allowed("http://localhost:9000/", settings(callback_hosts="localhost"))

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
            *("169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16", "::ffff:10.0.0.1", "64:ff9b::a00:1"),
            *("2002:a00:1::", "::", "64:ff9b:1::a00:1", "fec0::1", "::127.0.0.1", "::ffff:0:10.0.0.1", "2001:db8::1"),
        ],
    )
    def test_an_allowed_name_leads_to_public_addresses_alone(self, address):
        """Whoever answers for the name could otherwise reach what only we can."""
        allowed = settings(callback_hosts="ci.example")

        assert not webhooks._may_go_to("ci.example", address, allowed)
        assert webhooks._may_go_to("ci.example", "93.184.215.14", allowed)
        assert webhooks._may_go_to("ci.example", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", allowed)

    @pytest.mark.parametrize(
        ("address", "may"),
        [
            *(("10.0.0.1", True), ("192.168.1.1", True), ("fd12::1", True), ("93.184.215.14", True)),
            *(("127.0.0.1", False), ("169.254.169.254", False), ("fe80::1", False), ("fd00:ec2::254", False)),
        ],
    )
    def test_a_private_host_may_lie_in_a_private_network(self, address, may):
        private = settings(callback_private_hosts="ci.internal")

        assert webhooks._may_go_to("ci.internal", address, private) is may

    def test_one_bad_address_of_several_is_enough(self, job, monkeypatch):
        """The address is judged when it is connected to, not when the audit is submitted."""

        async def answer(*_: object, **__: object) -> list:
            return [(0, 0, 0, "", (address, 443)) for address in ("93.184.215.14", "169.254.169.254")]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", answer)
        with pytest.raises(UndeliveredError, match="not allowed"):
            send(job, "https://ci.example/", settings(callback_hosts="ci.example"))

    def test_a_host_that_is_not_allowed_any_more_gets_nothing(self, job, hook):
        with pytest.raises(UndeliveredError, match="not allowed"):
            send(job, hook.url, settings(callback_hosts="ci.example"))

        assert hook.received == []


class TestOverHttp:
    def test_a_callback_is_taken(self, client_of, body, jobs):
        client = client_of(callback_hosts="ci.example", callback_secrets=SECRET)

        assert submit(client, {**body, "callback": {"url": "https://ci.example/hook"}}).status_code == 202

    def test_another_host_is_a_problem(self, client_of, body):
        client = client_of(callback_hosts="ci.example", callback_secrets=SECRET)

        answer = submit(client, {**body, "callback": {"url": "https://metadata.example/"}})

        assert (answer.status_code, answer.json()["code"]) == (422, "callback_host_forbidden")


class FakeUpkeep:
    def __init__(self, *due: Delivery) -> None:
        self.due = due
        self.settled: list[tuple[str | None, bool]] = []

    def claim_callbacks(self, limit: int) -> tuple[Delivery, ...]:
        return self.due

    def settle_callback(self, delivery: Delivery, error: str | None, *, is_last: bool) -> None:
        self.settled.append((error, is_last))


@pytest.mark.parametrize(("status", "attempt", "is_last"), [(500, 1, False), (500, 10, True), (410, 1, True)])
def test_a_webhook_is_given_up_in_the_end(job, hook, status, attempt, is_last):
    hook.answers = [status]
    upkeep = FakeUpkeep(Delivery(job, hook.url, attempt))

    assert asyncio.run(deliver_due(upkeep, HERE)) == 1

    [(error, last)] = upkeep.settled
    assert error is not None
    assert last is is_last


@pytest.mark.parametrize("url", ["https://a..ci.example/", f"https://{'a' * 64}.ci.example/"])
def test_a_name_that_cannot_be_looked_up_is_settled(job, url):
    """Audits of earlier versions may name one."""
    upkeep = FakeUpkeep(Delivery(job, url, 10))

    asyncio.run(deliver_due(upkeep, settings(callback_hosts="*.ci.example")))

    assert upkeep.settled == [("The host cannot be reached.", True)]


def test_a_fault_of_ours_is_settled(job, hook, monkeypatch):
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(webhooks, "signed_headers", breaks)
    upkeep = FakeUpkeep(Delivery(job, hook.url, 1), Delivery(job, hook.url, 10))

    assert asyncio.run(deliver_due(upkeep, HERE)) == 2
    assert [is_last for _, is_last in upkeep.settled] == [False, True]
    assert all(error is not None for error, _ in upkeep.settled)


def test_one_that_hangs_delays_no_other(job, hook, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 2.0)
    hook.answers = [lambda _: time.sleep(3)]
    upkeep = FakeUpkeep(*[Delivery(job, hook.url, 1)] * 3)

    asyncio.run(deliver_due(upkeep, HERE))

    assert sorted(error is None for error, _ in upkeep.settled) == [False, True, True]
