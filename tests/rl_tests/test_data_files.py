import gzip
from pathlib import Path

import pytest
from unstuck.rl.data.files import read_sheet
from unstuck.rl.errors import DataError


def _write(folder: Path, content: str | bytes, name: str = "flows.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str):
    sheet = read_sheet(_write(tmp_path, f"a{delimiter}b\n1{delimiter}2\n"))
    assert sheet.cells == [["a", "b"], ["1", "2"]]


def test_blank_rows_are_skipped_and_rows_keep_their_numbers(tmp_path: Path):
    sheet = read_sheet(_write(tmp_path, "\ufeffa,b\r\n\r\n1,2\r\n,\r\n3,4\r\n,,,,\r\n"))
    assert sheet.cells == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert sheet.row_numbers == [1, 3, 5]


def test_quotes_hold_delimiters_and_line_ends(tmp_path: Path):
    assert read_sheet(_write(tmp_path, 'a,b\n"1,5","x\ny"\n')).cells[1] == ["1,5", "x\ny"]


def test_gzip_is_read_whatever_its_name(tmp_path: Path):
    packed = gzip.compress(b"a,b\n1,2\n")
    for name in ("flows.csv.gz", "flows.csv"):
        assert read_sheet(_write(tmp_path, packed, name)).cells[1] == ["1", "2"]


def test_latin_1_is_read_where_utf_8_fails(tmp_path: Path):
    assert read_sheet(_write(tmp_path, "a,b\n1,Web Attack \xe9\n".encode("latin-1"))).cells[1][1] == "Web Attack é"


def test_a_wrong_name_suggests_the_nearest(tmp_path: Path):
    _write(tmp_path, "a,b\n", "KDDTrain+.txt")
    _write(tmp_path, "a,b\n", "notes.md")
    with pytest.raises(DataError, match=r"a file that exists, got .*KDDTrian\.txt; did you mean 'KDDTrain\+\.txt'\?"):
        read_sheet(str(tmp_path / "KDDTrian.txt"))
    with pytest.raises(DataError, match=r"its folder .*nowhere does not exist either"):
        read_sheet(str(tmp_path / "nowhere" / "x.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="its folder holds no file"):
        read_sheet(str(tmp_path / "empty" / "x.csv"))


def test_a_folder_is_no_file(tmp_path: Path):
    _write(tmp_path, "a,b\n")
    with pytest.raises(DataError, match=r"got the folder .*; it holds flows\.csv"):
        read_sheet(str(tmp_path))


@pytest.mark.parametrize("content", ["", "\n\n", ",,\n,,\n"])
def test_an_empty_file(tmp_path: Path, content: str):
    with pytest.raises(DataError, match="a file with rows, got an empty one"):
        read_sheet(_write(tmp_path, content))


def test_ragged_rows_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"as many cells as the first, 2, got 3 in row 4 of .*flows\.csv"):
        read_sheet(_write(tmp_path, "a,b\n1,2\n\n1,2,3\n"))


def test_damaged_gzip(tmp_path: Path):
    with pytest.raises(DataError, match=r"a \.gz file must be gzipped, got .*flows\.csv\.gz"):
        read_sheet(_write(tmp_path, "a,b\n1,2\n", "flows.csv.gz"))
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    broken = packed[:20] + bytes([packed[20] ^ 255]) + packed[21:]
    for content in (packed[:-12], broken):
        with pytest.raises(DataError, match="a gzipped file must be whole"):
            read_sheet(_write(tmp_path, content, "flows.csv.gz"))


def test_no_text(tmp_path: Path):
    with pytest.raises(DataError, match=r"must name a text file, got .* zero bytes; save it as UTF-8"):
        read_sheet(_write(tmp_path, "a,b\n1,2\n".encode("utf-16")))
    with pytest.raises(DataError, match="row 2: field larger than field limit"):
        read_sheet(_write(tmp_path, "a,b\n" + "x" * 200_000 + ",1\n"))
