"""The Korean pages call one thing by one word, and glue no particle to what is filled in.

The words stand in CONTRIBUTING ("Words"). A word that is refused here meant something else, was
the English's own metaphor, or was the second word for a thing that has one."""

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings

KOREAN = Path(settings.LOCALE_PATHS[0]) / "ko" / "LC_MESSAGES" / "django.mo"
MOST_DOUBLED_PARTICLES = 10

# What is not written, as a regular expression, and what is written in its place.
REFUSED = {
    "그림(?!자)": "이미지",
    "현상": "생성",
    "정착": "마무리",
    "작업자": "워커",
    "운영자": "관리자",
    "관리 사이트": "관리자 페이지",
    "청구": "차감",
    "기장": "반영",
    "견적": "요청 시 가격",
    "금액": "크레딧, 수량",
    "장부": "원장",
    "거래 내역": "크레딧 내역",
    "환영 크레딧": "가입 축하 크레딧",
    "감사 기록": "감사 로그",
    "내려받": "다운로드",
    "모음": "컬렉션",
    "낱말": "단어",
    "무작위": "랜덤",
    "레이턴트": "잠재 이미지",
    "암호|패스워드": "비밀번호",
    "보안키": "보안 키",
    "철회|회수": "취소, 폐기, 공유 중지",
    "사용 중지|사용 재개": "정지, 정지 해제",
    "꺼져": "사용 안 함",
    "계정을 열": "로그인",
    "다시 쓰기": "다시 사용",
    "주인": "소유자",
    "적으세요|적어 주세요": "입력하세요",
    "고르세요|골라": "선택하세요",
    "당신|귀하|저희|거기": "nothing",
    "알아서|따라잡|숨을 고르": "what happens",
    "모자랍니다": "부족합니다",
    "습니까|십시오|십시요": "-나요?, -ㄹ까요?, -세요",
    "그런 [가-힣 ]+ 없습니다": "-을 찾을 수 없습니다",
    r"(%\(\w+\)[sd]|\{\w+\}|\d) 크레딧": "closed up",
    r"(%\(\w+\)[sd]|\{\w+\}|\d) %": "closed up",
    r"(%\(\w+\)[\d.]*[sdf]|\d) [kMG]B": "closed up",
}
# After a name, an address, a number or a link nobody knows which of two particles is right.
BARE_PARTICLE = re.compile(
    r"(%\(\w+\)[\d.]*[sdfg]|\{\w+\})[”\u2019]?((이|가|은|는|을|를|과|와|로|으로)(?![가-힣(])|이[어었라])"
)
DOUBLED_PARTICLE = re.compile(r"[이가은는을를]\([이가은는을를]\)|\(으\)로|\(이\)")


def korean_texts() -> list[str]:
    with KOREAN.open("rb") as file:
        catalog: dict[object, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    return [text for msgid, text in catalog.items() if msgid]


@pytest.mark.parametrize(("refused", "instead"), REFUSED.items())
def test_one_thing_has_one_word(refused: str, instead: str) -> None:
    wrong = [text for text in korean_texts() if re.search(refused, text)]
    assert wrong == [], f"write: {instead}"


def test_no_particle_is_glued_to_what_is_filled_in() -> None:
    assert [text for text in korean_texts() if BARE_PARTICLE.search(text)] == []


def test_hardly_any_sentence_leaves_the_choice_of_its_particle_to_the_reader() -> None:
    doubled = [text for text in korean_texts() if DOUBLED_PARTICLE.search(text)]
    assert len(doubled) <= MOST_DOUBLED_PARTICLES, doubled


@pytest.mark.parametrize("text", ["%(most)s이어야", "“%(name)s”을 삭제", "{url}을", "%(n)d은 아님"])
def test_a_glued_particle_is_found(text: str) -> None:
    assert BARE_PARTICLE.search(text)
