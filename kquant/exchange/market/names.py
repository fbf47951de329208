"""Invented Korean company names and codes: unique, plausible, nobody's."""

from __future__ import annotations

from .mixing import Stream

HEADS = (
    "가람", "가온", "나래", "누리", "다온", "단비", "대륜", "도담", "동하", "라온", "로움", "루온", "마루", "모아", "미르", "바름",
    "별하", "보늬", "비나", "새론", "서린", "성운", "세움", "소담", "솔빛", "수아", "슬기", "시온", "아람", "아라", "여울", "예다",
    "온새", "우람", "유진", "은하", "이든", "일우", "제이", "지온", "진솔", "찬솔", "초아", "케이", "크론", "태강", "튼튼", "파랑",
    "푸른", "하람", "한결", "한별", "해담", "해온", "현빛", "혜윰", "호산", "효림", "휘람", "희망",
)  # fmt: skip
MIDDLES = (
    "",
    "",
    "",
    "노",
    "디",
    "로",
    "리",
    "메",
    "모",
    "바",
    "비",
    "셀",
    "스",
    "시",
    "아",
    "에",
    "엔",
    "오",
    "젠",
    "코",
    "텍",
    "피",
)
SECTORS = {
    "전기전자": ("전자", "반도체", "테크", "디스플레이", "이노텍"),
    "제약바이오": ("제약", "바이오", "바이오팜", "메디칼", "헬스케어"),
    "화학": ("화학", "케미칼", "소재", "머티리얼즈"),
    "기계": ("기계", "로보틱스", "정밀", "엔지니어링"),
    "운송장비": ("모터스", "오토", "조선", "항공우주"),
    "철강금속": ("철강", "금속", "제강", "스틸"),
    "건설": ("건설", "산업개발", "시멘트"),
    "유통": ("유통", "리테일", "커머스", "홀딩스"),
    "음식료": ("식품", "푸드", "제과"),
    "서비스": ("소프트", "게임즈", "네트웍스", "엔터테인먼트", "미디어"),
    "금융": ("증권", "캐피탈", "인베스트", "금융지주"),
    "2차전지": ("에너지솔루션", "배터리", "이차전지", "에코"),
}
ETF_BRANDS = ("한결", "누리", "가온", "미르")
ETF_THEMES = (
    "200",
    "코스닥150",
    "반도체",
    "2차전지",
    "배당성장",
    "인버스",
    "레버리지",
    "바이오",
    "미국나스닥100",
    "국고채10년",
)


def unique_names(stream: Stream, sectors: list[str]) -> list[str]:
    """Return one unused name for each sector given, in order."""
    taken: set[str] = set()
    names = []
    for sector in sectors:
        while True:
            name = stream.pick(HEADS) + stream.pick(MIDDLES) + stream.pick(SECTORS[sector])
            if name not in taken:
                break
            name = stream.pick(HEADS) + stream.pick(HEADS) + stream.pick(MIDDLES) + stream.pick(SECTORS[sector])
            if name not in taken:
                break
        taken.add(name)
        names.append(name)
    return names


def unique_codes(stream: Stream, count: int) -> list[str]:
    """Return *count* six-character codes ending in 0, ascending, a few with letters as newer listings have."""
    taken: set[str] = set()
    while len(taken) < count:
        number = stream.between(2, 47_000)
        letters = stream.below(60) == 0
        taken.add(f"0{number % 1000:03d}{'ABCDEFGHJKLMNPRSTUVWXYZ'[number % 23]}0" if letters else f"{number:05d}0")
    return sorted(taken)
