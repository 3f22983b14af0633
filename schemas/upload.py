"""An upload: a file that a client sent, and the address by which its requests name it."""

from datetime import datetime

from pydantic import Field

from schemas.base import Sent


class Upload(Sent):
    """A file that lies with the service until it expires. Its content never changes."""

    id: str
    uri: str = Field(description="Stands for the file in the requests of its caller.", examples=["upload://0190..."])
    name: str = Field(description="What the client called the file; its suffix says the format.")
    bytes: int = Field(ge=0, description="Size of the file.")
    sha256: str = Field(description="SHA-256 of the file in hexadecimal digits.")
    created_at: datetime
    expires_at: datetime = Field(description="When it is removed, unless an audit that is not finished names it.")


class UploadPage(Sent):
    items: list[Upload]
    next_cursor: str | None = Field(None, description="Pass as `cursor` for the next page; null on the last one.")
