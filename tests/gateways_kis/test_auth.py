"""Tokens over restarts, processes and days, against the look-alike's token office: kis-protocol 1.2, 1.3."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import Any

import pytest

from kquant.exchange.core.auth import Credentials, TokenOffice
from kquant.gateways.kis.rest.auth import Auth, Secrets
from kquant.gateways.kis.rest.errors import KisRefused, KisUnreadable, TokenTooSoon

HOUR = 3_600.0
START = 1_800_000_000.0
SECRETS = Secrets("K" * 36, "S" * 180)


class Office:
    """The exchange's token office on a wall clock of its own; `fail` has the next issues lost."""

    def __init__(self) -> None:
        self.wall = START
        self.office = TokenOffice(Credentials(), app_key=SECRETS.app_key, app_secret=SECRETS.app_secret, salt=b"x")
        self.posts: list[str] = []
        self.fail: Exception | None = None

    def now(self) -> float:
        return self.wall

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        self.posts.append(path)
        await asyncio.sleep(0)
        if self.fail is not None:
            raise self.fail
        if path == "/oauth2/revokeP":
            self.office.revoke(body["token"])
            return {"code": 200}
        if path == "/oauth2/Approval":
            return {"approval_key": f"approval-{len(self.posts)}"}
        issued = self.office.issue(self.wall)
        if issued is None:
            raise KisRefused("EGW00133", "once a minute", 403)
        token, at = issued
        # The local expiry text is wrong on purpose: nine hours off, as on a machine in UTC.
        return {
            "access_token": token,
            "expires_in": int(at + 86_400 - self.wall),
            "access_token_token_expired": "1999-01-01 00:00:00",
        }

    def auth(self, folder: Any, secrets: Secrets = SECRETS, host: str = "http://h") -> Auth:
        return Auth(host, secrets, folder / "token.json", self.post, wall=self.now)

    def is_good(self, token: str) -> bool:
        return self.office.fault(token, self.wall) is None


@pytest.fixture
def office():
    return Office()


async def test_expiry_is_counted_from_expires_in_not_from_the_local_text(office, tmp_path):
    auth = office.auth(tmp_path)
    token = await auth.token()
    office.wall += 22 * HOUR
    assert await auth.token() == token
    office.wall += 1.5 * HOUR
    assert await auth.token() != token
    assert office.posts == ["/oauth2/tokenP"] * 2


async def test_a_second_process_uses_the_first_ones_token(office, tmp_path):
    token = await office.auth(tmp_path).token()
    assert await office.auth(tmp_path).token() == token
    assert len(office.posts) == 1
    assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600
    assert {file.name for file in tmp_path.iterdir()} <= {"token.json", "token.json.lock"}


async def test_processes_that_start_together_ask_once(office, tmp_path):
    tokens = await asyncio.gather(*[office.auth(tmp_path).token() for _ in range(5)])
    assert len(set(tokens)) == 1
    assert len(office.posts) == 1


async def test_another_keys_token_is_never_taken(office, tmp_path):
    await office.auth(tmp_path).token()
    office.wall += 120
    await office.auth(tmp_path, Secrets("L" * 36, "S" * 180)).token()
    office.wall += 120
    await office.auth(tmp_path, host="http://other").token()
    assert len(office.posts) == 3


async def test_a_restart_within_the_minute_does_not_ask_again(office, tmp_path):
    office.fail = KisRefused("EGW00002", "server error", 500)
    with pytest.raises(KisRefused, match="EGW00002"):
        await office.auth(tmp_path).token()
    office.fail = None
    office.wall += 20
    with pytest.raises(TokenTooSoon) as soon:
        await office.auth(tmp_path).token()
    assert 40 <= soon.value.wait_seconds <= 43
    assert len(office.posts) == 1
    office.wall += soon.value.wait_seconds
    assert office.is_good(await office.auth(tmp_path).token())


async def test_a_revoked_token_is_replaced_once(office, tmp_path):
    auth = office.auth(tmp_path)
    token = await auth.token()
    office.wall += HOUR
    office.office.revoke(token)
    auth.refused(token)
    again = await auth.token()
    assert again != token
    assert office.is_good(again)
    assert len(office.posts) == 2


async def test_a_refused_token_that_kis_gives_again_is_not_asked_for_each_minute(office, tmp_path):
    """Within six hours KIS gives the same token: asking on would only send messages to the account's holder."""
    auth = office.auth(tmp_path)
    token = await auth.token()
    for _ in range(8):
        office.wall += 70
        auth.refused(token)
        assert await auth.token() == token
    assert len(office.posts) == 2


async def test_a_refused_token_is_not_taken_from_the_file_again(office, tmp_path):
    first, second = office.auth(tmp_path), office.auth(tmp_path)
    token = await first.token()
    assert await second.token() == token
    office.wall += HOUR
    office.office.revoke(token)
    first.refused(token)
    renewed = await first.token()
    second.refused(token)
    assert await second.token() == renewed
    assert len(office.posts) == 2


async def test_the_morning_renews_what_would_not_last_the_day(office, tmp_path):
    auth = office.auth(tmp_path)
    await auth.token()
    office.wall += 16 * HOUR  # from 16:00 to 08:00 the next morning
    close = office.wall + 8 * HOUR + 60
    assert await auth.renew_if_due(close)
    assert not await auth.renew_if_due(close)
    assert not await office.auth(tmp_path).renew_if_due(close)
    assert len(office.posts) == 2


async def test_the_morning_leaves_a_token_that_kis_would_only_repeat(office, tmp_path):
    await office.auth(tmp_path).token()
    office.wall += 2 * HOUR
    assert not await office.auth(tmp_path).renew_if_due(office.wall + 30 * HOUR)
    assert len(office.posts) == 1


async def test_revoking_forgets_the_token_on_disk_too(office, tmp_path):
    auth = office.auth(tmp_path)
    token = await auth.token()
    await auth.revoke()
    assert not office.is_good(token)
    assert json.loads((tmp_path / "token.json").read_bytes())["token"] == ""
    office.wall += 120
    assert office.is_good(await auth.token())


async def test_a_token_folder_that_is_gone_is_told(office, tmp_path):
    from kquant.gateways.kis.rest.errors import KisNotSent

    auth = Auth("h", SECRETS, tmp_path / "absent" / "file" / "token.json", office.post, wall=office.now)
    (tmp_path / "absent").write_text("a file where a folder should be")
    with pytest.raises(KisNotSent, match="token file"):
        await auth.token()
    assert office.posts == []


async def test_nothing_of_a_token_or_secret_shows_in_a_repr(office, tmp_path):
    auth = office.auth(tmp_path)
    token = await auth.token()
    key = await auth.approval_key()
    shown = f"{auth!r} {vars(auth)!r} {SECRETS!r}"
    assert all(secret not in shown for secret in (token, key, SECRETS.app_secret, SECRETS.app_key))


@pytest.mark.parametrize("left", [1_800.0, 21.0])
async def test_a_token_that_still_lives_is_used_while_its_renewal_fails_reliability_d16(office, tmp_path, left):
    auth = office.auth(tmp_path)
    token = await auth.token()
    office.wall += 24 * HOUR - left
    office.fail = KisRefused("EGW00133", "once a minute", 403)
    assert [await auth.token() for _ in range(3)] == [token] * 3
    assert office.posts.count("/oauth2/tokenP") == 2
    office.fail = None
    office.wall += 9
    assert await auth.token() == token
    office.wall += 61
    assert await auth.token() != token


async def test_a_token_that_has_ended_or_was_refused_is_not_used_while_its_renewal_fails(office, tmp_path):
    auth = office.auth(tmp_path)
    token = await auth.token()
    office.wall += 23.5 * HOUR
    office.fail = KisRefused("EGW00002", "trouble", 500)
    auth.refused(token)
    with pytest.raises(KisRefused, match="EGW00002"):
        await auth.token()
    office.wall += 62
    with pytest.raises(KisRefused, match="EGW00002"):
        await auth.token()


async def test_a_caller_who_gives_up_does_not_end_the_renewal_for_the_others(office, tmp_path):
    auth, going, go = office.auth(tmp_path), asyncio.Event(), asyncio.Event()
    post = office.post

    async def slow(path: str, body: Any) -> dict[str, Any]:
        going.set()
        await go.wait()
        return await post(path, body)

    auth._post = slow
    impatient = asyncio.create_task(auth.token())
    await going.wait()
    patient = asyncio.create_task(auth.token())
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    go.set()
    assert office.is_good(await patient)
    assert office.posts == ["/oauth2/tokenP"]


@pytest.mark.parametrize("token", ["abc\r\ndef", "abc def", "abc\x00", "토큰"])
async def test_a_token_that_no_header_can_hold_is_unreadable(office, tmp_path, token):
    async def post(path: str, body: Any) -> dict[str, Any]:
        return {"access_token": token, "expires_in": 86_400}

    auth = office.auth(tmp_path)
    auth._post = post
    with pytest.raises(KisUnreadable, match="access_token") as caught:
        await auth.token()
    assert token.strip() not in str(caught.value)


async def test_an_approval_key_outlives_the_days_connection_it_was_given_to_kis_protocol_1_4(office, tmp_path):
    auth = office.auth(tmp_path)
    key = await auth.approval_key()
    office.wall += 7 * HOUR
    assert await auth.approval_key() == key
    office.wall += 4 * HOUR
    assert await auth.approval_key() != key  # 24 h less 11 h would end within a day of 13 h
