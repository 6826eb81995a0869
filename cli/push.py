"""`relforge push RUN REPO`: a run's relations as a dataset of the Hugging Face hub."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from relforge.cli import exits
from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, report_error


def command(
    run: Annotated[
        str, typer.Argument(metavar="RUN|FOLDER", help="Run folder, or what relforge export --to hf wrote.")
    ],
    repo: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Dataset on the hub; made where it is not there.")
    ],
    private: Annotated[bool, typer.Option("--private", help="A new dataset is private.")] = False,
    embed: Annotated[bool, typer.Option(help="Upload the image files too; mind their licence.")] = True,
    as_json: Json = False,
) -> None:
    """Export a run with --to hf and upload it. Needs a token: HF_TOKEN, or the one hf auth login keeps."""
    from huggingface_hub import HfApi, get_token

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadInput(f"{repo!r}: a dataset is named OWNER/NAME")
    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise BadInput("HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it")
    token = get_token()
    if token is None:
        raise BadInput("there is no token of the hub; set HF_TOKEN, or give `hf auth login`")
    with tempfile.TemporaryDirectory(prefix="relforge-push-") as staged:
        folder = (
            Path(run) if (Path(run) / "README.md").is_file() else _export(run, Path(staged) / "hf", embed)
        )
        api = HfApi(token=token, library_name="relforge")
        try:
            api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo, repo_type="dataset", folder_path=folder, commit_message="Relations by relforge"
            )
        except Exception as error:  # of the hub, of its transport, of the network
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            report_error(f"{repo} cannot be uploaded: {reason}", exits.FAILED, as_json)
            raise typer.Exit(exits.FAILED) from None
    if as_json:
        return print_json({"repo": repo, "commit": done.oid})
    return print_line(f"{api.endpoint}/datasets/{repo}: uploaded, commit {done.oid}")


def _export(run: str, out: Path, embed: bool) -> Path:
    from relforge.pipeline.export import export_run

    export_run(run, "hf", str(out), embed=embed)
    return out
