"""Charts: what is drawn is to scale."""

from console.web.charts import HEIGHT, WIDTH, chart


def test_values_are_drawn_to_a_round_scale_from_edge_to_edge() -> None:
    drawn = chart("hour", "10:00", "11:00", received=[0, 7, 20], credited=[0, 0, 10])
    assert drawn.top == 20
    received, credited = drawn.series
    assert received.path == f"M0.0,{HEIGHT:.1f} L{WIDTH / 2:.1f},{HEIGHT * 13 / 20:.1f} L{WIDTH:.1f},0.0"
    assert credited.path.endswith(f"L{WIDTH:.1f},{HEIGHT / 2:.1f}")
    assert received.area == f"{received.path} L{WIDTH},{HEIGHT} L0,{HEIGHT} Z"
    assert drawn.in_words == "27 received, 10 credited from 10:00 to 11:00; max 20 an hour"


def test_the_scale_is_the_next_round_number() -> None:
    assert [chart("minute", "", "", a=[value]).top for value in (0, 1, 2, 3, 5, 6, 11, 21, 51, 999, 1001)] == [
        1,
        1,
        2,
        5,
        5,
        10,
        20,
        50,
        100,
        1000,
        2000,
    ]


def test_nothing_is_a_flat_line_or_none() -> None:
    assert chart("minute", "", "", a=[0, 0]).series[0].path == f"M0.0,{HEIGHT:.1f} L{WIDTH:.1f},{HEIGHT:.1f}"
    assert chart("minute", "", "", a=[]).series[0].path == ""
    assert chart("minute", "", "").top == 1
