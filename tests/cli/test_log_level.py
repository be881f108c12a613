from support.command_line import CommandLine


def test_the_level_in_force_is_shown_with_where_it_comes_from(user: CommandLine) -> None:
    assert user.run("log-level").stdout == "info  (default)\n"
    user.environ["KUGETSU_LOG_LEVEL"] = "warning"
    assert user.run("log-level").stdout == "warning  (KUGETSU_LOG_LEVEL)\n"
    assert not user.home.exists()


def test_a_level_that_is_set_is_over_the_settings_until_it_is_reset(user: CommandLine) -> None:
    done = user.run("log-level", "DEBUG")
    path = user.home / "log-level"
    assert (done.code, done.stdout) == (0, f"debug  ({path})\n")
    assert "within about a second" in done.stderr
    assert path.read_text() == "debug\n"
    assert user.run("log-level", "--json").json() == {"level": "debug", "origin": str(path)}
    assert user.run("log-level", "--reset").stdout == "info  (default)\n"
    assert not path.exists()
    assert user.run("log-level", "--reset").code == 0


def test_what_is_no_level_is_refused(user: CommandLine) -> None:
    for arguments in (["loud"], ["debug", "--reset"], ["debug", "info"]):
        done = user.run("log-level", *arguments)
        assert (done.code, done.stdout) == (2, "")
    assert not user.home.exists()


def test_a_strange_file_is_named_and_can_be_mended(user: CommandLine) -> None:
    user.home.mkdir()
    (user.home / "log-level").write_text("loud\n")
    done = user.run("log-level")
    assert (done.code, done.stdout) == (2, "")
    assert str(user.home / "log-level") in done.stderr
    assert user.run("log-level", "error").code == 0
    assert user.run("log-level", "--json").json()["level"] == "error"
