import io

from inventory.display.log import Log


def test_log_escapes_control_characters(capsys):
    Log("text").complain("bad \x1b[31mred\x07\u202e end\nsecond line")
    assert capsys.readouterr().err == "inventory: bad \\x1b[31mred\\x07\\u202e end\\nsecond line\n"


def test_log_stops_writing_to_a_full_stderr(monkeypatch):
    class Full(io.StringIO):
        def write(self, _text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    log = Log("text")
    log.say("x", "message")
    log.complain("message")
    assert log.quiet
