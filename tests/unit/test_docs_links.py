"""Each link of the pages leads to a file, and to a heading of it, that are there; their tables are whole."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def prose(page):
    return FENCED.sub("", page.read_text())


def links(page):
    """The links of a page, but those to elsewhere."""
    return re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", prose(page))


def headings(page):
    """Their anchors, as GitHub makes them."""
    for title in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        yield re.sub(r"[^\w -]", "", words).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_link_of_a_page_leads_somewhere(page):
    for link in links(page):
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def test_each_page_is_linked_from_one_that_is_not_generated():
    written = [page for page in PAGES if page.parent.name != "reference"]
    found = ((page.parent / link.partition("#")[0]) for page in written for link in links(page))
    assert not set(PAGES) - {link.resolve() for link in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_table_of_a_page_has_its_head(page):
    for table in re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE):
        assert re.match(r"\|.*\n\|[-:| ]+\n", table), table
