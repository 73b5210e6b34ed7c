"""The page at /: a client of the REST interface in the browser, with no build step.

index.html   what there is on it; the template of a photo's card
page.js      takes photos, sends a few of them at once
card.js      one photo: slider, saturation, download
hints.js     its colour hints: points on the picture
server.js    the REST interface
png.js         what the downloaded file says of its colours
saturation.js  what the download does with the saturation
texts.js     English and Vietnamese
vendor/      img-comparison-slider 8.0.7 (MIT), its npm package's dist/index.js as it is
"""

from collections.abc import Callable
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).resolve().parent
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


def page_routes(models: Callable[[], list[str]]) -> list[Route]:
    """Gives the routes of the page: / and all below /page/.

    The files are read now: no request makes the server look at its disk.

    Args:
        models: names the models that colour photos, at the time of asking.
    """

    async def named(_: Request) -> Response:
        return JSONResponse({"models": await anyio.to_thread.run_sync(models)})

    routes = [Route("/page/models.json", named)]
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix in _MEDIA_TYPES:
            address = "/page/" + path.relative_to(_FOLDER).as_posix()
            routes.append(file_route("/" if path.name == "index.html" else address, path))
    return routes


def file_route(address: str, path: Path) -> Route:
    """Gives the route of a file, which is read now."""
    content, media_type = path.read_bytes(), _MEDIA_TYPES[path.suffix]

    async def send(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return Route(address, send)
