"""Make `.venv` with the pinned dependencies, once for each pyproject.toml, constraints.txt and Python version.

Standard library only. Two starts at once wait for each other; one that was interrupted is begun afresh by the next.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP, UNFINISHED = VENV / ".stamp", VENV / ".unfinished"


def main():
    if sys.version_info < (3, 11):  # noqa: UP036  (only older versions get here)
        found = ".".join(map(str, sys.version_info[:3]))
        return f"symbench needs Python 3.11 or newer and this is {found}: name another one, 'make PYTHON=python3.12'."
    lock_path = ROOT / ".cache" / "bootstrap.lock"
    lock_path.parent.mkdir(exist_ok=True)
    with open(lock_path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if STAMP.is_file() and STAMP.read_text() == key():
            return None
        print("Installing the pinned dependencies into .venv; this takes some minutes the first time.", flush=True)
        try:
            build(lock.fileno())
        except subprocess.CalledProcessError as error:
            return f"The installation failed (exit code {error.returncode}): see above, then start it again."
        except KeyboardInterrupt:
            return "Interrupted: the next start installs afresh."
        STAMP.write_text(key())
    return None


def key():
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def build(lock):
    """The installer inherits the lock: should it outlive this process, nobody installs beside it."""
    STAMP.unlink(missing_ok=True)
    python = VENV / "bin" / "python"
    if UNFINISHED.exists() or not same_version(python):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True, pass_fds=[lock])
    UNFINISHED.touch()
    environment = dict(os.environ)
    if shutil.which("uv"):
        installer = ["uv", "pip", "install", "--quiet", "--python", str(python)]
        if "PIP_FIND_LINKS" in environment:  # uv does not read pip's settings
            environment.setdefault("UV_FIND_LINKS", ",".join(environment["PIP_FIND_LINKS"].split()))
    else:
        installer = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    wanted = ["-c", "constraints.txt", "-e", ".[test]"]
    subprocess.run([*installer, *wanted], check=True, cwd=ROOT, env=environment, pass_fds=[lock])
    UNFINISHED.unlink()


def same_version(python):
    """Whether the environment is there, whole, and of the Python that runs this."""
    ask = "import pip, sys; print(sys.version_info[:2])"
    try:
        answer = subprocess.run([str(python), "-c", ask], capture_output=True, text=True)
    except OSError:
        return False
    return answer.stdout.strip() == str(sys.version_info[:2])


if __name__ == "__main__":
    sys.exit(main())
