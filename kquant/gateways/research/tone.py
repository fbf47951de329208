"""The tone of headlines without a model: words that stand for good or bad news of a company, counted.

Crude on purpose: the same titles always give the same tone, a title counts once whichever way, and the rubric draws few
titles towards neutral. A language model that reads the titles is bounded elsewhere (`docs/scoring.md`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

GOOD: Final = (
    "흑자전환", "흑자 전환", "최대 실적", "사상 최대", "역대 최대", "어닝 서프라이즈", "실적 개선", "실적개선",
    "목표가 상향", "목표주가 상향", "목표가↑", "투자의견 상향", "수주", "공급계약", "공급 계약", "신약 승인", "품목허가",
    "특허 취득", "특허취득", "자사주 매입", "자기주식취득", "자사주 소각", "주식소각", "배당 확대", "현금ㆍ현물배당",
    "무상증자", "급등", "상한가", "신고가", "강세", "증익", "호실적", "수출 증가", "기술수출", "인수 완료",
)  # fmt: skip
BAD: Final = (
    "적자전환", "적자 전환", "적자 확대", "어닝 쇼크", "실적 부진", "실적 악화", "목표가 하향", "목표주가 하향", "목표가↓",
    "투자의견 하향", "횡령", "배임", "상장폐지", "관리종목", "거래정지", "매매거래정지", "유상증자", "감자", "불성실공시",
    "압수수색", "구속", "검찰", "과징금", "소송", "리콜", "화재", "파업", "부도", "회생절차", "워크아웃", "해킹",
    "하한가", "급락", "신저가", "약세", "감익", "공매도", "계약 해지", "계약해지", "임상 실패", "허가 반려", "손상차손",
    "의견거절", "한정의견",
)  # fmt: skip


def tone_of(titles: Iterable[str]) -> int | None:
    """Return -100 (all bad) to 100 (all good); None without titles. A title with neither, or both, is neutral."""
    tones = [_tone(title) for title in titles]
    return (
        None if not tones else sum(tones) * 100 // len(tones) if sum(tones) >= 0 else -(-sum(tones) * 100 // len(tones))
    )


def _tone(title: str) -> int:
    # What is lifted again is no bad news: "거래정지 해제", "유상증자 철회".
    if any(word in title for word in ("해제", "철회", "무혐의", "취하")):
        return 0
    good, bad = (any(word in title for word in words) for words in (GOOD, BAD))
    return int(good) - int(bad)
