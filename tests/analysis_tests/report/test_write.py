"""Writing a report: which files, whole ones, and what of an old report is left."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.document import Document, Figure, Paragraph
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import Stores
from unstuck.analysis.plots.canvas import STYLE, Canvas
from unstuck.analysis.report.write import report_run, write_document

from tests.analysis_tests.runs import healthy

DRAWN = Document("t", (Paragraph("a", lead=True), Figure("one", Canvas(), "cap", "alt")))


def test_a_document_is_a_page_a_text_and_its_figures(tmp_path: Path) -> None:
    written = write_document(DRAWN, tmp_path / "new" / "folder", "report")
    folder = tmp_path / "new" / "folder"
    assert written == [folder / "report.md", folder / "report.html", folder / "report-figures"]
    assert sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()) == [
        *("report-figures/one.svg", "report.html", "report.md"),
    ]
    assert "![alt](report-figures/one.svg)" in written[0].read_text()
    assert "<svg" in written[1].read_text()


def test_a_figure_in_a_file_of_its_own_brings_its_colours_along(tmp_path: Path) -> None:
    write_document(DRAWN, tmp_path, "report")
    root = ElementTree.parse(tmp_path / "report-figures" / "one.svg").getroot()
    assert [child.text for child in root] == ["cap", "alt", STYLE]
    assert STYLE not in (tmp_path / "report.html").read_text()  # the page has its own


def test_figures_of_an_earlier_report_are_gone_and_other_files_stay(tmp_path: Path) -> None:
    write_document(DRAWN, tmp_path, "report")
    write_document(DRAWN, tmp_path, "other")
    (tmp_path / "notes.txt").write_text("mine")
    assert write_document(Document("t", (Paragraph("b"),)), tmp_path, "report") == [
        tmp_path / "report.md",
        tmp_path / "report.html",
    ]
    assert not (tmp_path / "report-figures").exists()
    assert (tmp_path / "other-figures" / "one.svg").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "report.md").read_text() == "# t\n\nb\n"


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AnalysisError, match=r"the report's folder must be one that can be written to, got .*file"):
        write_document(DRAWN, tmp_path / "file" / "below", "report")


@pytest.mark.parametrize(
    ("name", "tags", "where"),
    [
        ("horizon/7", {"sweep": "horizon", "trial": "7"}, "horizon/trials/0007/report.md"),
        ("progress.csv", {}, "reports/progress-csv.md"),
        ("my run (1)", {}, "reports/my-run--1-.md"),
        ("0" * 32, {"sweep": "horizon"}, f"reports/{'0' * 32}.md"),
    ],
)
def test_a_trials_report_lies_with_the_trial_and_any_others_beside_the_sweeps(
    tmp_path: Path, name: str, tags: dict[str, str], where: str
) -> None:
    diagnosis = diagnose(replace(healthy(), name=name, tags=tags))
    assert report_run(diagnosis, Stores(tmp_path))[0] == tmp_path / where


def test_who_names_a_folder_gets_it_there(tmp_path: Path) -> None:
    diagnosis = diagnose(replace(healthy(), name="horizon/7", tags={"sweep": "horizon", "trial": "7"}))
    assert report_run(diagnosis, Stores(tmp_path), tmp_path / "here")[0] == tmp_path / "here" / "horizon-7.md"


def test_a_trial_of_another_sweep_of_that_name_does_not_write_into_it(tmp_path: Path) -> None:
    (tmp_path / "horizon").mkdir()
    (tmp_path / "horizon" / "config.yaml").write_text("id: ours\nformat: 2\n")
    tags = {"sweep": "horizon", "trial": "7", "sweep_id": "theirs"}
    run = replace(healthy(), name="horizon/7", tags=tags)
    assert report_run(diagnose(run), Stores(tmp_path))[0] == tmp_path / "reports" / "horizon-7.md"
    ours = replace(run, tags={**tags, "sweep_id": "ours"})
    assert report_run(diagnose(ours), Stores(tmp_path))[0].parent == tmp_path / "horizon" / "trials" / "0007"


def test_two_runs_of_one_name_have_a_report_each_and_the_same_run_keeps_its_own(tmp_path: Path) -> None:
    first, second = (
        diagnose(replace(healthy(), name="progress.csv", source=f"runs/{seed}/progress.csv", tags={}))
        for seed in (1, 2)
    )
    stores = Stores(tmp_path)
    one, other = report_run(first, stores)[0], report_run(second, stores)[0]
    assert one == tmp_path / "reports" / "progress-csv.md"
    assert other.parent == one.parent
    assert other.stem.startswith("progress-csv-")
    assert "Read from runs/1/progress.csv, 100 iterations." in one.read_text()
    assert "Read from runs/2/progress.csv, 100 iterations." in other.read_text()
    assert (report_run(first, stores)[0], report_run(second, stores)[0]) == (one, other)
    assert len(list(one.parent.glob("*.md"))) == 2
