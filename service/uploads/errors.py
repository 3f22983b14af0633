"""What can go wrong between a client's file and the uploads folder.

ProblemError
  └ UploadError
      ├ UploadNotFound        no such upload, or it is another caller's
      ├ UploadInUse           an audit that is not finished names it
      ├ UploadTooLarge        larger than one file may be
      ├ UploadQuotaExceeded   larger than what the caller has left
      ├ UploadDamaged         the content is not what its digest says
      └ UploadStorageFull     the disk is full
"""

from schemas.problem import ProblemError


class UploadError(ProblemError):
    """The file cannot be taken, or not be found."""


class UploadNotFound(UploadError):  # noqa: N818 - named for what it says
    def __init__(self, upload_id: str) -> None:
        super().__init__(
            "upload_not_found",
            f"There is no upload {upload_id[:100]!r} of yours; it may have expired. List yours: GET /v1/uploads.",
        )


class UploadInUse(UploadError):  # noqa: N818 - named for what it says
    def __init__(self, upload_id: str) -> None:
        super().__init__(
            "upload_in_use",
            f"An audit that is not finished reads upload {upload_id}. Cancel it, or wait for its end, and delete then.",
        )


class UploadTooLarge(UploadError):  # noqa: N818 - named for what it says
    def __init__(self, limit: int) -> None:
        super().__init__(
            "upload_too_large",
            f"The file has more than {limit:,} bytes (FITCHECK_MAX_UPLOAD_BYTES). Pack it, or send it in parts: "
            "`uri` takes a list.",
        )


class UploadQuotaExceeded(UploadError):  # noqa: N818 - named for what it says
    def __init__(self, limit: int, used: int) -> None:
        super().__init__(
            "upload_quota_exceeded",
            f"Your uploads may take {limit:,} bytes together (FITCHECK_UPLOAD_QUOTA_BYTES), and take {used:,} now. "
            "Delete some of them: DELETE /v1/uploads/{id}.",
        )


class UploadDamaged(UploadError):  # noqa: N818 - named for what it says
    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(
            "upload_digest_mismatch",
            f"What arrived has the SHA-256 {found}, not {expected}: the file was changed on the way, or the digest is "
            "another file's. Send it again.",
            field=field,
        )


class UploadStorageFull(UploadError):  # noqa: N818 - named for what it says
    def __init__(self) -> None:
        super().__init__(
            "upload_storage_full",
            "The service has no room for this file; nothing of it was kept. Delete uploads that you need no more, or "
            "tell the operator.",
        )
