"""How a command ends: the exit codes that scripts rely on, and the errors that lead to them."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer
from rich.console import Console

from schemas.problem import DataError, ModelError, ProblemError, RequestError
from schemas.report import Report
from service.cli.render import render_problem
from service.cli.words import in_words_of_the_command_line
from service.client.errors import RefusedError
from service.client.reports import FailOn, breaks


class ExitCode(IntEnum):
    PASSED = 0  # the verdict stays below the gate
    GATE_BROKEN = 1
    USAGE = 2  # the command, the request or what it names is at fault
    FAILED = 3  # there is no report, and the input is not to blame
    INTERRUPTED = 130  # the shell's number for Ctrl-C


# Problems that the user mends in the command or in what it names; all others are failures.
USERS_OWN = (RequestError, ModelError, DataError, RefusedError)


def gate(report: Report, fail_on: FailOn) -> ExitCode:
    """What a verdict means to a pipeline that stops from severity `fail_on`."""
    return ExitCode.GATE_BROKEN if breaks(report.verdict, fail_on) else ExitCode.PASSED


@contextmanager
def problems_end_the_command(errors: Console) -> Iterator[Console]:
    """Print what went wrong and exit with its code."""
    try:
        yield errors
    except (typer.Exit, BrokenPipeError):
        raise
    except ProblemError as error:
        render_problem(in_words_of_the_command_line(error.problem), errors)
        raise typer.Exit(ExitCode.USAGE if isinstance(error, USERS_OWN) else ExitCode.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except Exception:
        traceback.print_exc(file=sys.stderr)
        raise typer.Exit(ExitCode.FAILED) from None
