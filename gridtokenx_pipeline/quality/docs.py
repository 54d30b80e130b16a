"""Data Docs: a page for each suite and partition, readable without a network.

The pages are those of Great Expectations' own renderer, reduced to elements and attributes that load nothing: it writes them for
style sheets, scripts and pictures of half a dozen hosts, and puts values of the data into them as markup. They lie in
`<root>/<suite>/<partition>.html`, with an index of each suite and one of all; of a suite, the `KEPT` newest are kept.
"""

from __future__ import annotations

import copy
import functools
import html
import json
import os
import re
from pathlib import Path
from typing import Any

from gridtokenx_pipeline import clock

from .outcome import SHOWN, SuiteOutcome
from .suite import columns_of, load

KEPT = 200
INDEX = "index.html"
_MARK = "<!-- outcome "
_STYLE = Path(__file__).with_name("docs.css")
_ELEMENTS = {
    *("html", "body", "div", "span", "p", "br", "hr", "strong", "em", "b", "i", "code", "pre", "small", "a"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd"),
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption"),
}
_ATTRIBUTES = {"class", "id", "href", "colspan", "rowspan", "lang"}


def build(root: Path, outcome: SuiteOutcome, partition: str, kept: int = KEPT) -> Path:
    """Write the page of `outcome` for `partition`, prune the suite's older pages, and return the page's path.

    Raises `OSError` where it cannot be written. An outcome without a validation (no rows, wrong columns) has a page of its own.
    """
    directory = root / outcome.suite
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / f"{_file_name(partition)}.html"
    body = _heading(outcome) if outcome.validation is None else _validation(outcome, partition)
    summary = {
        "partition": partition,
        "rows": outcome.rows,
        "expectations": outcome.expectations,
        "failed": len(outcome.failures),
        "critical": outcome.critical,
        "built": clock.now().strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    _write(page, _page(f"{outcome.suite} {partition}", body, summary))
    newest = sorted((path for path in directory.glob("*.html") if path.name != INDEX), key=_age)
    for old in newest[kept:]:
        old.unlink(missing_ok=True)
    _write_indexes(root, outcome.suite, newest[:kept])
    return page


def offline(page: str) -> str:
    """Return the body of an HTML page, reduced to what loads nothing and runs nothing: only links within the page are left."""
    from lxml import etree
    from lxml import html as markup

    tree: Any = markup.document_fromstring(page)
    body = tree.find("body")
    if body is None:
        return ""
    for element in list(body.iter()):
        if element is body:
            continue
        known = isinstance(element.tag, str) and element.tag in _ELEMENTS
        # What is sticky are buttons that need scripts.
        if not known or "sticky" in (element.get("class") or "").split():
            element.drop_tree()
            continue
        for name in list(element.attrib):
            if name not in _ATTRIBUTES or (name == "href" and not element.attrib[name].startswith("#")):
                del element.attrib[name]
    body.tag = "main"
    body.attrib.clear()
    return etree.tostring(body, method="html", encoding="unicode", with_tail=False)


def _validation(outcome: SuiteOutcome, partition: str) -> str:
    """The body of Great Expectations' page. Values of the data are escaped, since its templates take them for markup."""
    from great_expectations.core import RunIdentifier
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    validation = copy.copy(outcome.validation)
    validation.meta = {**validation.meta, "run_id": RunIdentifier(run_name=partition, run_time=clock.now())}
    validation.results = [copy.copy(result) for result in validation.results]
    for result in validation.results:
        result.result = _escaped(result.result)
        result.exception_info = _escaped(result.exception_info)
    rendered = _view().render(ValidationResultsPageRenderer(run_info_at_end=True).render(validation))
    return _heading(outcome) + offline(rendered) + _reasons(outcome)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list | tuple) else value


@functools.cache
def _view() -> Any:
    """Great Expectations' page view. Kept, since it compiles its templates anew for every view."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def _reasons(outcome: SuiteOutcome) -> str:
    """What every expectation is there for, which Great Expectations' page does not say, and how derived columns are made."""
    text = html.escape
    suite = load(outcome.suite)
    rules = "".join(
        f"<tr><td>{e['severity']}</td><td>{text(e['type'])}</td><td>{text(', '.join(columns_of(e)))}</td>"
        f"<td>{text(e.get('notes') or 'The contract of the table.')}</td></tr>"
        for e in suite.expectations
    )
    made = "".join(f"<tr><td>{text(name)}</td><td><code>{text(sql)}</code></td></tr>" for name, sql in suite.derived.items())
    return (
        "<h2>Why</h2><table><tr><th>severity</th><th>expectation</th><th>columns</th><th>reason</th></tr>"
        + rules
        + ("</table><h2>Derived columns</h2><table><tr><th>column</th><th>SQL</th></tr>" + made if made else "")
        + "</table>"
    )


def _heading(outcome: SuiteOutcome) -> str:
    text = html.escape
    failures = "".join(
        f'<tr class="{text(f.severity)}"><td>{text(f.severity)}</td><td>{text(f.expectation)}</td>'
        f"<td>{text(f.columns)}</td><td>{f.unexpected}</td><td>{text(f.error)}"
        + "<br>".join(text(", ".join(f"{name} {value}" for name, value in row.items())) for row in f.rows[:SHOWN])
        + "</td></tr>"
        for f in outcome.failures
    )
    table = "<table><tr><th>severity</th><th>expectation</th><th>columns</th><th>unexpected</th><th>rows</th></tr>"
    return (
        f'<nav><a href="{INDEX}">{text(outcome.suite)}</a> <a href="../{INDEX}">all suites</a></nav>'
        f"<p>{outcome.rows} rows, {outcome.expectations} expectations, {len(outcome.failures)} not met.</p>"
        + (f"{table}{failures}</table>" if failures else "")
    )


def _write_indexes(root: Path, suite: str, pages: list[Path]) -> None:
    """The suite's index lists its pages, the newest first; the index of all lists the newest page of every suite."""
    back = f'<nav><a href="../{INDEX}">all suites</a></nav>'
    _write(root / suite / INDEX, _page(suite, back + _listed([(page.name, page) for page in pages])))
    newest = []
    for directory in sorted(path for path in root.iterdir() if path.is_dir()):
        own = sorted((path for path in directory.glob("*.html") if path.name != INDEX), key=_age)
        newest += [(f"{directory.name}/{INDEX}", own[0])] if own else []
    _write(root / INDEX, _page("Data quality", _listed(newest, suites=True)))


def _listed(pages: list[tuple[str, Path]], suites: bool = False) -> str:
    rows = []
    for link, path in pages:
        found = _summary(path)
        state = ("critical" if found["critical"] else "warning") if found.get("failed") else "met"
        name = path.parent.name if suites else found.get("partition", path.stem)
        cells = [found.get("partition", "")] if suites else []
        cells += [state, *(str(found.get(key, "")) for key in ("failed", "expectations", "rows", "built"))]
        rows.append(
            f'<tr class="{state}"><td><a href="{html.escape(link)}">{html.escape(str(name))}</a></td>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    heads = ["suite", "newest partition"] if suites else ["partition"]
    heads += ["outcome", "not met", "expectations", "rows", "built"]
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{''.join(rows)}</table>"


def _page(title: str, body: str, summary: dict[str, Any] | None = None) -> str:
    mark = f"{_MARK}{json.dumps(summary).replace('--', '- -')} -->\n" if summary else ""
    name = html.escape(title)
    return (
        f'<!doctype html>\n{mark}<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><h1>{name}</h1>{body}</body></html>\n"
    )


def _summary(page: Path) -> dict[str, Any]:
    """What a page says of its outcome at its top; nothing where it is gone or is no page of ours."""
    try:
        with page.open(encoding="utf-8") as file:
            file.readline()
            line = file.readline()
    except OSError:
        return {}
    return json.loads(line.removeprefix(_MARK).rpartition(" -->")[0]) if line.startswith(_MARK) else {}


def _age(path: Path) -> tuple[float, str]:
    """Sorts the newest first; a page that another run has just pruned comes last."""
    try:
        return -path.stat().st_mtime, path.name
    except FileNotFoundError:
        return 0.0, path.name


def _file_name(partition: str) -> str:
    return re.sub(r"[^0-9A-Za-z._-]", "_", partition) or "_"


def _write(path: Path, content: str) -> None:
    """Replace the file at once, so that a reader sees one page or the other."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(content, encoding="utf-8")
    beside.replace(path)
