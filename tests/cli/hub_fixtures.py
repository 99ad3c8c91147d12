"""What the tests of pulled models share: a hub, a program that knows no other, and where things lie in the cache."""
import hashlib
import random

import pytest
from fake_hub import COMMIT, FakeHub

REPOSITORY = "acme/tiny-gguf"


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


class HubUser:
    """The program with a cache of its own and a hub to pull from."""

    def __init__(self, bitnet, hub, folder):
        self.bitnet, self.hub, self.cache = bitnet, hub, folder / "cache"
        self.env = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(self.cache), "HF_HOME": str(folder / "hf"), "NO_PROXY": "*"}

    def __call__(self, *arguments, env=None, **options):
        return self.bitnet(*arguments, env=self.env | (env or {}), **options)

    def pull(self, *arguments, **options):
        """The path that a pull prints; it must succeed and say nothing else."""
        result = self("pull", *arguments, **options)
        assert (result.returncode, result.stderr) == (0, b""), result.stderr
        return result.stdout.decode()[:-1]

    def refusal(self, code, *arguments, env=None, **options):
        return self.bitnet.refusal(code, *arguments, env=self.env | (env or {}), **options)

    def folder(self, repository=REPOSITORY):
        return self.cache / ("models--" + repository.replace("/", "--"))

    def blobs(self, repository=REPOSITORY):
        folder = self.folder(repository) / "blobs"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def snapshot(self, repository=REPOSITORY, commit=COMMIT):
        return self.folder(repository) / "snapshots" / commit

    def has_only_right_files(self):
        """No blob under a name that its content does not bear out, no link to nowhere, nothing outside the cache."""
        for path in self.cache.rglob("*"):
            if path.parent.name == "blobs" and path.suffix != ".incomplete":
                data = path.read_bytes()
                git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                assert path.name in (hashlib.sha256(data).hexdigest(), git), path
            if path.is_symlink():
                assert path.exists() and path.resolve().is_relative_to(self.cache.resolve()), path
        return True


@pytest.fixture
def hub():
    hub = FakeHub()
    yield hub
    hub.close()


@pytest.fixture
def user(bitnet, hub, tmp_path):
    user = HubUser(bitnet, hub, tmp_path)
    if b"made without libcurl" in user("pull", "a/b").stderr:
        pytest.skip("this build has no downloads")
    hub.requests.clear()
    return user
