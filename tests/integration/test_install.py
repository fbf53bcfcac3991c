"""What an installed library is to those who build against it: both ways, both kinds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, require

SOURCE = """#include <secretrt/secretrt.h>
#include <stdio.h>
int main(void)
{
    struct secretrt_client *client = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_error e;
    int rc = secretrt_open(&client, NULL, &e);

    if (rc == 0)
        rc = secretrt_read(&value, client, "env://?word=INSTALLED", &e);
    if (rc == 0)
        printf("%d %s\\n", (int)secretrt_value_info(value)->tier, secretrt_value_text(value));
    secretrt_value_unref(value);
    secretrt_close(client);
    return rc != 0;
}
"""
PROJECT = """cmake_minimum_required(VERSION 3.22)
project(consumer C)
find_package(secretrt 0.1 CONFIG REQUIRED)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE secretrt::TARGET)
"""


def run(*command: object, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, env={**os.environ, **env},
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = ROOT / "build" / "plain"
    require((build / "libsecretrt.so").exists(), "libsecretrt: build preset plain first")
    where = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", build, "--prefix", where)
    return where


def library_dir(prefix: Path) -> Path:
    return next(prefix.rglob("libsecretrt.so")).parent


def consumer(tmp_path: Path) -> Path:
    (tmp_path / "consumer.c").write_text(SOURCE)
    return tmp_path / "consumer"


def works(program: Path, prefix: Path) -> None:
    out = run(program, INSTALLED="CANARY-word", LD_LIBRARY_PATH=str(library_dir(prefix)))
    assert out == "4 CANARY-word\n"


@pytest.mark.parametrize("static", [False, True])
def test_pkg_config(prefix: Path, tmp_path: Path, static: bool) -> None:
    program = consumer(tmp_path)
    # The prefix is another than the one that was configured, as in a package's build. A
    # wholly static libcurl wants thirty more -dev packages: ours static, the rest shared.
    modules = ["secretrt", "libcurl", "yajl"] if static else ["secretrt"]
    flags = run("pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs",
                *modules, PKG_CONFIG_PATH=str(library_dir(prefix) / "pkgconfig")).split()
    if static:
        flags = [str(library_dir(prefix) / "libsecretrt.a") if flag == "-lsecretrt" else flag
                 for flag in flags] + ["-lmbedcrypto", "-pthread"]
    run("cc", "-std=c11", "-o", program, tmp_path / "consumer.c", *flags)
    works(program, prefix)
    linked = "libsecretrt.so.0" in run("ldd", program,
                                       LD_LIBRARY_PATH=str(library_dir(prefix)))
    assert linked != static


@pytest.mark.parametrize("target", ["secretrt", "static"])
def test_cmake_package(prefix: Path, tmp_path: Path, target: str) -> None:
    consumer(tmp_path)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.replace("TARGET", target))
    run("cmake", "-S", tmp_path, "-B", tmp_path / "out", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "out")
    works(tmp_path / "out" / "consumer", prefix)


def test_what_the_library_shows_and_weighs(tmp_path: Path) -> None:
    """nm -D shows only secretrt_*; the stripped release build is at most 200 KB."""
    build = tmp_path / "release"
    run("cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=MinSizeRel",
        "-DSECRETRT_TESTS=OFF", "-DSECRETRT_EXAMPLES=OFF",
        "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON")
    run("cmake", "--build", build, "-j", "2")
    stripped = tmp_path / "libsecretrt.so.0"
    run("strip", "-o", stripped, build / "libsecretrt.so.0")
    symbols = run("nm", "-D", "--defined-only", stripped).splitlines()
    names = [line.split()[-1].split("@")[0] for line in symbols]
    assert [name for name in names if not name.startswith(("secretrt_", "SECRETRT_0"))] == []
    assert len(names) <= 81, "at most 80 functions, and the version's name"
    assert "SONAME" in (dynamic := run("readelf", "-d", stripped))
    assert "libsecretrt.so.0" in dynamic and "TEXTREL" not in dynamic
    assert stripped.stat().st_size <= 200_000
