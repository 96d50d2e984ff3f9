from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest

from bench.link.trace import TraceWriter, parse, read
from loacodecs.errors import ConfigurationError

TEXT = """# loa-link-trace 1
time_s,client,direction,size,delay_ms
10.000000,0,down,172,61.204
10.020000,0,down,172,lost
10.010000,0,up,60,1.000
10.040000,0,down,172,60.871 74.020
10.060000,1,down,172,0.000
# end 11.000000
"""


def test_rows_are_read_by_client_and_direction_from_the_first_row_on() -> None:
    trace = parse(TEXT.splitlines())
    assert trace.clients == [0, 1]
    down = trace.recording(0, "down")
    assert list(down.times) == pytest.approx([0, 0.02, 0.04])
    delays = [down.delays_of(index) for index in range(3)]
    assert delays == [pytest.approx((0.061204,)), (), pytest.approx((0.060871, 0.07402))]
    assert list(trace.recording(0, "up").times) == pytest.approx([0.01])
    assert trace.period == pytest.approx(1.0)


def test_clients_take_turns_and_a_missing_direction_is_as_the_other() -> None:
    trace = parse(TEXT.splitlines())
    assert trace.recording(2, "down") is trace.recording(0, "down")
    assert trace.recording(3, "up") is trace.recording(1, "down")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "link.csv"
    writer = TraceWriter(file.open("w", encoding="utf-8"))
    writer.row(0.0, 0, "down", 172, (0.061,))
    writer.row(0.02, 0, "down", 172, ())
    writer.row(0.04, 0, "down", 172, (0.06, 0.07))
    writer.close(5.0)
    writer.close(9.0)
    trace = read(file)
    down = trace.recording(0, "down")
    assert [down.delays_of(index) for index in range(3)] == [(0.061,), (), (0.06, 0.07)]
    assert trace.period == 5.0


def test_without_an_end_one_more_pause_follows_the_last_row() -> None:
    lines = TEXT.splitlines()[:4]
    assert parse(lines).period == pytest.approx(0.04)
    assert parse(lines[:3]).period > 0


def test_whether_packets_overtook_one_another_is_seen() -> None:
    def of(*delays: str) -> bool:
        rows = [f"{number * 0.02:.6f},0,down,172,{delay}" for number, delay in enumerate(delays)]
        return parse([TEXT.splitlines()[0], *rows]).recording(0, "down").in_order

    assert of("60", "lost", "50", "30")
    assert not of("60", "lost", "19.9")
    assert not of("60 90", "60")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,0,down,172", "line 3: has 4 columns instead of 5"),
        ("x,0,down,172,1", "line 3: time_s 'x' is not a number"),
        ("nan,0,down,172,1", "line 3: time_s 'nan' is not a number"),
        ("1,-1,down,172,1", "line 3: client '-1' is not a whole number"),
        ("1,0,left,172,1", "line 3: direction 'left' is neither up nor down"),
        ("1,0,up,1.5,1", "line 3: size '1.5' is not a whole number"),
        ("1,0,up,172,-1", "line 3: delay -1 ms is negative"),
        ("1,0,up,172,", "line 3: delay_ms '' is not a number"),
        ("1,0,up,172,1\n0,0,up,172,1", "line 4: time 0 s is before that of the row before"),
        ("", "line 3: holds no packets"),
        ("# end never", "line 3: end 'never' is not a number"),
    ],
)
def test_mistakes_are_named_by_line(row: str, message: str, tmp_path: Path) -> None:
    head = "\n".join(TEXT.splitlines()[:2])
    file = tmp_path / "link.csv"
    file.write_text(f"{head}\n{row}\n")
    with pytest.raises(ConfigurationError) as caught:
        read(file)
    assert str(caught.value) == f"{file} {message}"


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 1: is no trace"):
        parse(io.StringIO("time,delay\n1,2\n"))
    with pytest.raises(ConfigurationError, match="No such file"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        read(tmp_path / "binary")


class FullDisk(io.StringIO):
    """Takes so many bytes and no more."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_ends_the_recording_and_disturbs_nothing_else() -> None:
    writer = TraceWriter(FullDisk())
    for number in range(100):
        writer.row(number * 0.02, 0, "down", 172, (0.06,))
    writer.close(2.0)
    assert writer.failure is not None
    assert writer.failure.strerror == "No space left on device"
