"""The routes of uploads: files of clients who share no storage with the service."""

import re
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from schemas.upload import Upload, UploadPage
from service.api.access import Caller, Owner, authenticate
from service.api.openapi import UPLOAD_BODY, header, problems
from service.api.receiving import receive_upload
from service.uploads.errors import UploadNotFound
from service.uploads.store import Uploads
from service.validation import WrittenInt

MAX_PAGE = 200
_ID = re.compile(r"[0-9a-f-]{36}")


def uploads_of(request: Request) -> Uploads:
    return cast(Uploads, request.app.state.uploads)


UploadsOf = Annotated[Uploads, Depends(uploads_of)]


def upload_id(id: Annotated[str, Path(description="The `id` of the upload.")]) -> str:  # noqa: A002 - the path's word
    """The id in the path; what cannot be one is not looked up.

    Raises:
        UploadNotFound: it holds what no id holds.
    """
    if not _ID.fullmatch(id):
        raise UploadNotFound(id)
    return id


UploadId = Annotated[str, Depends(upload_id)]


class UploadQuery(BaseModel):
    """What the body does not say."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        None, min_length=1, max_length=255, description="What the file is called; its suffix says the format."
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9A-Fa-f]{64}$", description="What `sha256sum` says of the file; it is checked."
    )


class UploadListQuery(BaseModel):
    """The place in the list."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(None, max_length=1024, description="`next_cursor` of the page before.")
    limit: WrittenInt = Field(50, ge=1, le=MAX_PAGE, description="Uploads a page.")


uploads = APIRouter(prefix="/v1/uploads", tags=["uploads"], dependencies=[Depends(authenticate)])


@uploads.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Send a file",
    openapi_extra=UPLOAD_BODY,
    response_description="The upload. Its `uri` may stand wherever a request names a file.",
    responses={
        HTTPStatus.CREATED: {"headers": {"Location": header("Address of the upload.")}},
        **problems(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.INSUFFICIENT_STORAGE,
        ),
    },
)
async def create_upload(
    *,
    query: Annotated[UploadQuery, Query()],
    caller: Caller,
    store: UploadsOf,
    request: Request,
    response: Response,
) -> Upload:
    """Send a model archive or a data file, as a form with one file or as the body itself.

    The content never changes, no other caller can name or read it, and it is removed when it expires.
    """
    made = await receive_upload(request, store, caller=caller, name=query.name, sha256=query.sha256)
    response.headers["Location"] = f"{uploads.prefix}/{made.id}"
    return made


@uploads.get(
    "",
    summary="List your uploads",
    response_description="One page, newest first.",
    responses=problems(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def list_uploads(query: Annotated[UploadListQuery, Query()], owner: Owner, store: UploadsOf) -> UploadPage:
    """The caller's own uploads that have not expired, newest first."""
    return store.list(caller=owner, cursor=query.cursor, limit=query.limit)


@uploads.get(
    "/{id}",
    summary="Get an upload",
    response_description="The upload, without its content.",
    responses=problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_upload(upload: UploadId, owner: Owner, store: UploadsOf) -> Upload:
    """What is known of an upload."""
    return store.get(upload, caller=owner)


@uploads.delete(
    "/{id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete an upload",
    response_class=Response,
    response_description="It is gone.",
    responses=problems(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def delete_upload(upload: UploadId, owner: Owner, store: UploadsOf) -> Response:
    """Remove a file before it expires. Not while an audit that is not finished reads it."""
    store.delete(upload, caller=owner)
    return Response(status_code=HTTPStatus.NO_CONTENT)
