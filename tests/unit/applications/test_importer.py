"""Each mistake in naming an application is told apart, with the fact that helps."""

from __future__ import annotations

import sys
import textwrap

import pytest

from gracehttp.applications.importer import add_app_dir, load_application
from gracehttp.errors import ApplicationNotFound, ConfigurationError

ASGI = "async def app(scope, receive, send): ...\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory that is the working directory and the head of sys.path; `write(path, source)` fills it."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    add_app_dir(".")

    def write(path: str, source: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        add_app_dir(".")

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")) or name.startswith("gtest"):
            del sys.modules[name]


def failure(target: object, **options) -> ApplicationNotFound:
    with pytest.raises(ApplicationNotFound) as caught:
        load_application(target, **options)
    return caught.value


def test_module_and_attribute(project):
    project("gtest_a.py", ASGI)
    loaded = load_application("gtest_a:app")
    assert loaded.application is sys.modules["gtest_a"].app
    assert (loaded.interface, loaded.name) == ("asgi", "gtest_a:app")


def test_dotted_module_and_dotted_attribute(project):
    project(
        "gtest_p/sub/web.py",
        "class Box:\n    @staticmethod\n    def wsgi(environ, start_response): ...\nbox = Box()\n",
    )
    loaded = load_application("gtest_p.sub.web:box.wsgi")
    assert (loaded.interface, loaded.name) == ("wsgi", "gtest_p.sub.web:box.wsgi")


@pytest.mark.parametrize("attribute", ["app", "application"])
def test_module_alone_means_app_or_application(project, attribute):
    project("gtest_alone.py", ASGI.replace("app", attribute))
    assert load_application("gtest_alone").name == f"gtest_alone:{attribute}"


def test_app_comes_before_application(project):
    project("gtest_both.py", ASGI + "def application(environ, start_response): ...\n")
    assert load_application("gtest_both").interface == "asgi"


def test_an_application_object_is_taken_as_it_is():
    async def app(scope, receive, send): ...

    loaded = load_application(app)
    assert loaded.application is app
    assert loaded.name.endswith("app")


def test_an_object_without_a_name_is_called_by_its_class():
    import flask

    assert load_application(flask.Flask("x")).name == "flask.app:Flask"


def test_explicit_interface_is_believed():
    assert load_application(lambda *args: None, interface="wsgi").interface == "wsgi"
    assert load_application(lambda *args: args, interface="asgi").interface == "asgi"


@pytest.mark.parametrize(
    ("application", "said", "other"),
    [(lambda environ, start_response: [], "asgi", "wsgi"), (lambda scope, receive, send: None, "wsgi", "asgi")],
)
def test_explicit_interface_that_the_signature_contradicts_is_refused(application, said, other):
    refused = failure(application, interface=said)
    assert f"can only be called as {other.upper()}" in refused.message
    assert f"--interface {other}" in refused.hint


def test_ambiguous_application_needs_an_explicit_interface():
    with pytest.raises(ConfigurationError) as caught:
        load_application(lambda *args: None)
    assert "--interface" in caught.value.hint


def test_unknown_interface_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="'rack' is no interface"):
        load_application(lambda *args: None, interface="rack")


def test_stand_ins_that_raise_when_looked_at_are_no_applications(project):
    project(
        "gtest_flask.py", "from flask import Flask, request, session, g, current_app\nflask_app = Flask(__name__)\n"
    )
    error = failure("gtest_flask:application")
    assert "has no 'application'" in error.message
    assert error.hint == "these look like applications: gtest_flask:flask_app"


def test_missing_module_says_where_it_was_looked_for(project, tmp_path):
    error = failure("gtest_nowhere:app")
    assert error.message == "there is no module 'gtest_nowhere'."
    assert str(tmp_path) in error.details
    assert "working directory" in error.details


@pytest.mark.parametrize("path", ["src/gtest_m.py", "src/gtest_m/__init__.py"])
def test_missing_module_in_a_folder_below_is_the_near_miss(project, path):
    project(path, ASGI)
    assert failure("gtest_m:web").hint == "did you mean src.gtest_m:web?"


def test_misspelt_module_names_the_nearest_one(project):
    project("gtest_main.py", ASGI)
    assert failure("gtest_mian:app").hint == "did you mean gtest_main:app?"


def test_missing_part_of_a_package_is_a_missing_module(project):
    project("gtest_pkg/__init__.py", "")
    assert failure("gtest_pkg.web:app").message == "there is no module 'gtest_pkg.web'."


def test_missing_dependency_is_not_a_missing_module(project):
    project("gtest_dep.py", "import gtest_not_installed\n")
    error = failure("gtest_dep:app")
    assert error.message == "the module gtest_dep was found, but gtest_not_installed that it imports was not."
    assert "gtest_dep.py" in error.details
    assert sys.executable in error.hint


def test_module_that_fails_with_its_own_name_was_found(project):
    project("gtest_self.py", "raise ModuleNotFoundError('odd', name='gtest_self')\n")
    assert "was found" in failure("gtest_self:app").message


@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("app = nothing_like_it", "raised NameError while it was imported: name 'nothing_like_it' is not defined."),
        ("raise ValueError('one\\ntwo')", "raised ValueError while it was imported: one."),
        ("raise ValueError", "raised ValueError while it was imported."),
    ],
)
def test_what_an_import_raised_is_in_the_sentence(project, source, summary):
    project("gtest_raises.py", source)
    assert failure("gtest_raises:app").message.endswith(summary)


def test_traceback_of_an_import_has_only_the_users_frames(project):
    project("gtest_inner.py", "1 / 0\n")
    project("gtest_outer.py", "import gtest_inner\n")
    error = failure("gtest_outer:app")
    assert error.message == "the module gtest_outer raised ZeroDivisionError while it was imported: division by zero."
    assert error.details.count("File ") == 2
    assert "importlib" not in error.details
    assert "importer.py" not in error.details
    assert error.details.rstrip().endswith("ZeroDivisionError: division by zero")


def test_syntax_error_shows_file_line_and_caret(project):
    project("gtest_syntax.py", "a = 1\nb = (\n")
    error = failure("gtest_syntax:app")
    assert "gtest_syntax.py, line 2" in error.message
    assert "^" in error.details


def test_exit_at_import_is_an_error(project):
    project("gtest_exit.py", "import sys\nsys.exit(0)\n")
    error = failure("gtest_exit:app")
    assert error.message == "the module gtest_exit called sys.exit(0) while it was imported."
    assert "sys.exit(0)" in error.details


def test_missing_attribute_names_the_nearest_one(project):
    project("gtest_near.py", ASGI)
    error = failure("gtest_near:ap")
    assert "has no 'ap'" in error.message
    assert error.hint == "did you mean gtest_near:app?"


def test_missing_attribute_is_no_module_that_was_imported(project):
    project("gtest_modules.py", "import math\nimport signal as nothings\n" + ASGI)
    assert failure("gtest_modules:nothing").hint == "these look like applications: gtest_modules:app"
    assert failure("gtest_modules:mat").hint == "these look like applications: gtest_modules:app"


def test_a_module_that_an_installed_package_does_not_have_is_told_apart(project):
    project("gtest_version.py", "import json.no_such\n")
    hint = failure("gtest_version:app").hint
    assert hint.startswith("json is there (")
    assert "has no module no_such" in hint
    assert "installed" not in hint


def test_missing_attribute_names_what_looks_like_an_application(project):
    project(
        "gtest_names.py",
        """
        from json import dumps
        from functools import reduce
        async def web(scope, receive, send): ...
        def create_app(): ...
        def helper(one): ...
        """,
    )
    error = failure("gtest_names")
    assert "has neither app nor application" in error.message
    assert error.hint == "these look like applications: gtest_names:web, --factory gtest_names:create_app"


@pytest.mark.parametrize(
    ("named", "attribute"),
    [("gtest_site", "application"), ("gtest_site:application", "application"), ("gtest_site:x", "x")],
)
def test_package_of_a_project_names_its_module_with_the_application(project, named, attribute):
    for name in ("__init__", "settings", "wsgi", "asgi"):
        project(f"gtest_site/{name}.py", "")
    meant = f"gtest_site.asgi:{attribute} or gtest_site.wsgi:{attribute}"
    assert failure(named).hint == f"that is a package: did you mean {meant}?"


def test_attribute_that_raises_is_told_with_its_traceback(project):
    project("gtest_prop.py", "class A:\n    @property\n    def app(self): raise KeyError('k')\na = A()\n")
    error = failure("gtest_prop:a.app")
    assert "raised KeyError" in error.message
    assert "gtest_prop.py" in error.details


def test_attribute_that_is_not_callable(project):
    project("gtest_dict.py", ASGI.replace("app", "web") + "app = {}\n")
    error = failure("gtest_dict:app")
    assert error.message == "gtest_dict:app is of type dict, and can't be called as an application can."
    assert "gtest_dict:web" in error.hint


def test_factory_is_called(project):
    project("gtest_f.py", "def create_app():\n    async def app(scope, receive, send): ...\n    return app\n")
    loaded = load_application("gtest_f:create_app", factory=True)
    assert loaded.interface == "asgi"
    assert loaded.application.__name__ == "app"


def test_factory_without_the_option_gets_the_hint(project):
    project("gtest_g.py", "def create_app(config=None): ...\n")
    assert failure("gtest_g:create_app").hint == "write --factory gtest_g:create_app"


def test_application_given_as_factory_gets_the_hint(project):
    project("gtest_h.py", ASGI)
    assert failure("gtest_h:app", factory=True).hint == "leave out --factory"


def test_factory_that_needs_arguments(project):
    project("gtest_i.py", "def create_app(config, *, debug): ...\n")
    assert "needs arguments (config, debug)" in failure("gtest_i:create_app", factory=True).message


def test_factory_that_raises_shows_its_traceback(project):
    project("gtest_j.py", "def create_app():\n    raise ValueError('no database')\n")
    error = failure("gtest_j:create_app", factory=True)
    assert error.message == "the factory gtest_j:create_app raised ValueError: no database."
    assert error.details.rstrip().endswith("ValueError: no database")
    assert "importer.py" not in error.details


def test_factory_that_exits_is_an_error():
    assert "called sys.exit(3)" in failure(lambda: sys.exit(3), factory=True).message


def test_factory_that_returns_nothing():
    assert "returned is None" in failure(lambda: None, factory=True).message


def test_factory_of_what_cannot_be_called():
    assert "can't be called to make an application" in failure({}, factory=True).message


def test_async_factory_is_an_error():
    async def create_app(): ...

    assert "is async" in failure(create_app, factory=True).message
    assert "neither an application nor a factory" in failure(create_app).message


def test_asgi_2_is_an_error_that_names_the_wrapper():
    assert "guarantee_single_callable" in failure(lambda scope: None).hint


def test_other_callables_are_named_with_their_parameters():
    assert "its parameters are a, b, c, d" in failure(lambda a, b, c, d: None).message


def test_add_app_dir_moves_the_directory_to_the_head(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/a", str(tmp_path)])
    add_app_dir(str(tmp_path))
    assert sys.path == [str(tmp_path), "/a"]


def test_add_app_dir_of_nothing_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        add_app_dir(str(tmp_path / "nowhere"))


def test_factory_is_called_with_the_literals_of_its_call(project):
    project(
        "gtest_call.py",
        "def create_app(name, *, debug=False):\n    async def app(scope, receive, send): ...\n"
        "    app.made = (name, debug)\n    return app\n",
    )
    loaded = load_application("gtest_call:create_app('prod:1', debug=True)")
    assert loaded.application.made == ("prod:1", True)
    assert loaded.name == "gtest_call:create_app"
    assert load_application("gtest_call:create_app('x')", factory=True).application.made == ("x", False)


def test_call_of_a_factory_that_does_not_fit_it(project):
    project("gtest_call2.py", "def create_app(name): ...\n")
    with pytest.raises(ApplicationNotFound, match=r"the factory gtest_call2:create_app\(name\) can't be called so: "):
        load_application("gtest_call2:create_app(1, 2)")


# --- an application that is none, by its code ---


def without_async(scope, receive, send):
    if scope["type"] != "http":
        return
    send({"type": "http.response.start", "status": 200})


def with_a_yield(scope, receive, send):
    yield b"hello"


async def async_with_a_yield(scope, receive, send):
    yield b"hello"


class WithoutAsync:
    def __call__(self, scope, receive, send):
        send({"type": "http.response.start", "status": 200})


@pytest.mark.parametrize("interface", ["auto", "asgi"])
@pytest.mark.parametrize("application", [without_async, WithoutAsync(), WithoutAsync().__call__])
def test_asgi_without_async_is_told_at_the_start(application, interface):
    refused = failure(application, interface=interface)
    assert "can't be awaited: it is written with def, and returns nothing" in refused.message
    assert refused.hint == "write it with async def"


@pytest.mark.parametrize("application", [with_a_yield, async_with_a_yield])
def test_asgi_with_a_yield_is_told_at_the_start(application):
    refused = failure(application)
    assert "it has a yield" in refused.message
    assert "await send" in refused.hint


async def inner(scope, receive, send): ...


def passes_on(scope, receive, send):
    return inner(scope, receive, send)


def passes_on_or_not(scope, receive, send):
    if scope["type"] == "lifespan":
        return None
    return inner(scope, receive, send)


def never_returns(scope, receive, send):
    raise NotImplementedError


@pytest.mark.parametrize(
    "application", [passes_on, passes_on_or_not, never_returns, lambda scope, receive, send: scope or None]
)
def test_a_function_that_may_return_a_coroutine_is_taken(application):
    assert load_application(application).interface == "asgi"


class Instances:
    async def __call__(self, scope, receive, send): ...


class Named:
    def __init__(self, import_name): ...

    def __call__(self, environ, start_response): ...


def test_a_class_is_told_from_what_it_makes():
    import flask

    refused = failure(Instances)
    assert refused.message.endswith("Instances is a class, not an application.")
    assert refused.hint.startswith(
        "make an instance in the module, app = Instances(...), and name that, or write --factory"
    )
    for one in (Named, flask.Flask):
        refused = failure(one)
        assert "is a class, not an application" in refused.message
        assert refused.hint == f"make an instance in the module, app = {one.__name__}(...), and name that"


def test_a_coroutine_is_what_an_async_function_returned(project):
    project("gtest_coroutine.py", "async def create_app(): ...\napp = create_app()\n")
    refused = failure("gtest_coroutine:app")
    assert refused.message == "gtest_coroutine:app is a coroutine, which an async function has returned."
    assert "with def" in refused.hint


def test_a_factory_that_needs_an_argument(project):
    project("gtest_factory.py", "def create_app(config):\n    return config\n")
    refused = failure("gtest_factory:create_app")
    assert refused.message == "gtest_factory:create_app takes one argument, config: that is no application."
    assert "app = create_app(...)" in refused.hint


def test_wsgi_with_async(project):
    project("gtest_async_wsgi.py", "async def app(environ, start_response): ...\n")
    refused = failure("gtest_async_wsgi:app")
    assert "as a WSGI application does, and is async" in refused.message


def test_another_name_is_found(project):
    project("gtest_flask.py", "import flask\nweb = flask.Flask(__name__)\n")
    assert failure("gtest_flask").hint == "these look like applications: gtest_flask:web"
    assert failure("gtest_flask:server").hint == "these look like applications: gtest_flask:web"


# --- what no application should raise ---

RAISED = pytest.mark.parametrize("raised", ["asyncio.CancelledError", "KeyboardInterrupt", "GeneratorExit"])


@RAISED
def test_whatever_an_import_raises_is_the_applications_with_its_frames_alone(project, raised):
    project("gtest_base.py", f"import asyncio\n\ndef connect():\n    raise {raised}('gone')\n\nconnect()\n")
    error = failure("gtest_base:app")
    name = raised.rpartition(".")[2]
    assert error.message == f"the module gtest_base raised {name} while it was imported: gone."
    assert "in connect" in error.details
    assert "importer.py" not in error.details


@RAISED
def test_whatever_a_factory_raises_is_the_applications(project, raised):
    project("gtest_base.py", f"import asyncio\n\ndef make():\n    raise {raised}('gone')\n")
    error = failure("gtest_base:make", factory=True)
    assert error.message == f"the factory gtest_base:make raised {raised.rpartition('.')[2]}: gone."
    assert "importer.py" not in error.details
