"""python -m models_export.client: colours photos through a server, ours or TensorFlow Serving.

It needs no TensorFlow, and settles photos itself (upright, sRGB, 8 bits), which TensorFlow Serving
does not.
"""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from pydantic import BaseModel, ConfigDict, Field
from tyro.conf import FlagCreatePairsOff, Positional, arg

from colorizer.command import note, parse, run
from colorizer.files import replacing
from colorizer.images.provenance import Provenance, marked_png
from pipelines.errors import ColorizerError, PhotoError, UsageError

if TYPE_CHECKING:
    from colorizer.colorizing.outputs import Job

DESCRIPTION = "Colours photos through a server: models_export.serve, or TensorFlow Serving."
EXAMPLES = """
# Through the server on this machine.
python -m models_export.client old_album/ --output from_server
# Through another one, eight photos at a time, and only what is not there yet.
python -m models_export.client old_album/ --output from_server --url http://server:8501 \\
    --parallel 8 --skip-existing
"""


class ServerError(ColorizerError):
    """The server did not answer, or said no.

    Attributes:
        status: of HTTP; None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ServingClient:
    """A client of TensorFlow Serving's REST interface.

    Args:
        url: of the server, "http://127.0.0.1:8501".
        model: the model's name.
        timeout_seconds: for an answer.

    Raises:
        UsageError: `url` is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8501",
        model: str = "colorizer",
        timeout_seconds: float = 60.0,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise UsageError(f"{url}: is no http:// or https:// address")
        self._model = f"{url.rstrip('/')}/v1/models/{quote(model, safe='')}"
        self._timeout = timeout_seconds

    def colorize(self, photo: bytes) -> bytes:
        """Colours a photo.

        Args:
            photo: an encoded file of any format that `colorizer.images` reads.

        Returns:
            A PNG file of the photo's size, upright. It says that its colours are invented, even
            where the server's did not.

        Raises:
            PhotoError: it is no photo, or damaged.
            ServerError: the server does not answer, or refuses.
        """
        from models_export.serving.images import settled_photo

        encoded = base64.b64encode(settled_photo(photo)).decode()
        answer = self._ask(":predict", {"instances": [{"b64": encoded}]})
        try:
            content: bytes = base64.b64decode(answer["predictions"][0]["b64"], validate=True)
        except (KeyError, IndexError, TypeError, ValueError):
            raise ServerError(f"{self._model}: does not answer as a colorizer does") from None
        return marked_png(content, Provenance())

    def status(self) -> list[dict[str, Any]]:
        """Tells the versions of the model and their states.

        Raises:
            ServerError: the server does not answer, or does not know the model.
        """
        versions: list[dict[str, Any]] = self._ask("")["model_version_status"]
        return versions

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            # The scheme was looked at once and for all.
            request = Request(self._model + path, data, headers)  # noqa: S310
            with urlopen(request, timeout=self._timeout) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            raise ServerError(f"{self._model}: {_message(error)}", error.code) from None
        except ValueError as error:
            raise ServerError(f"{self._model}: the answer is no JSON: {error}") from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ServerError(f"{self._model}: does not answer: {reason}") from None


class ClientConfig(BaseModel):
    """The command's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Annotated[Positional[tuple[str, ...]], arg(metavar="INPUT..."), Field(min_length=1)]
    """Photos: files, folders (searched with their sub-folders) and globs."""
    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the coloured photos; made if missing."""
    url: str = "http://127.0.0.1:8501"
    """Where the server is."""
    model: str = "colorizer"
    """The model's name."""
    parallel: Annotated[int, Field(ge=1)] = 4
    """Requests under way at once: a server that batches has them run together."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long to wait for an answer."""
    skip_existing: FlagCreatePairsOff[bool] = False
    """Leave photos alone whose result is there already: goes on where it stopped."""


def main() -> None:
    """Runs the command and exits with its code."""
    run(_command)


def _command() -> int:
    return colorize_through(
        parse(
            ClientConfig,
            prog="python -m models_export.client",
            description=DESCRIPTION,
            examples=EXAMPLES,
        )
    )


def colorize_through(config: ClientConfig) -> int:
    """Colours all photos that `config` names; prints a summary on stdout.

    Returns:
        The exit code: 0, or 1 if any photo failed.

    Raises:
        ServerError: the server does not answer, or does not know the model.
        ColorizerError: there is no photo, or the output is not a folder.
    """
    from tqdm import tqdm

    from colorizer.colorizing.planning import plan

    client = ServingClient(config.url, config.model, config.timeout_seconds)
    work = plan(config.inputs, config.output, ".png", skip_existing=config.skip_existing)
    # Once, before a thousand photos fail for one reason.
    client.status()
    with ThreadPoolExecutor(config.parallel) as pool:
        done = pool.map(lambda job: _colorized(client, job), work.waiting)
        told = list(tqdm(done, total=len(work.waiting), unit="photo", file=sys.stderr))
    failed = [error for error in told if error is not None]
    errors = [*work.errors, *failed]
    for error in errors:
        note(f"error: {error}")
    coloured = len(work.waiting) - len(failed)
    print(f"{coloured} done, {work.skipped} skipped, {len(errors)} failed: {config.output}")
    return 1 if errors else 0


def _colorized(client: ServingClient, job: "Job") -> ColorizerError | None:
    """Colours one photo; gives what went wrong."""
    path = job.source.path
    try:
        content = client.colorize(path.read_bytes())
        with replacing(job.target) as beside:
            beside.write_bytes(content)
    except PhotoError as error:
        return PhotoError(path, error.reason)
    except ColorizerError as error:
        return PhotoError(path, str(error))
    except OSError as error:
        return PhotoError(path, error.strerror or str(error))
    return None


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"answers {error.code} {error.reason}"


if __name__ == "__main__":
    main()
