"""The reference for acknowledgements: `python -m tests.bench.bare PORT DATABASE_URL MOST`.

One Starlette route and a group commit: it keeps what it is told as durably as alertd does, and knows nothing of tokens,
people or alerts. MOST is how many answers a commit may hold.
"""

import sys
from collections.abc import Sequence

import uvicorn
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertd.service.group_commit import GroupCommit
from alertd.store.engine import Store

_ANSWERS = Table("bare_answers", MetaData(), Column("id", Integer, primary_key=True), Column("token", String(64)))


def main() -> None:
    port, store, most = int(sys.argv[1]), Store(sys.argv[2]), int(sys.argv[3])
    with store.write() as connection:
        _ANSWERS.metadata.create_all(connection)

    def write(tokens: Sequence[str]) -> list[bool | Exception]:
        with store.write() as connection:
            connection.execute(insert(_ANSWERS), [{"token": token} for token in tokens])
        return [True] * len(tokens)

    answers: GroupCommit[str, bool] = GroupCommit(write, most)

    async def answer(request: Request) -> Response:
        await answers.submit(request.path_params["token"])
        return JSONResponse({"acknowledged": True})

    app = Starlette(routes=[Route("/a/{token}", answer, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
