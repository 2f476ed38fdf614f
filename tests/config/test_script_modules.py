"""What an entry script is made of: the modules of its own folder, and nothing that lies beside them."""

from pathlib import Path

from mpibatch.config.script_modules import script_files


def test_modules_that_are_imported_by_any_form_of_import_are_found(tmp_path: Path) -> None:
    """Also inside functions and by modules that the script imports; what is not imported, or not here, is not."""
    files = {
        "score.py": "import numpy, tools\nfrom package import part\ndef run(mini_batch):\n    import late.deep as x\n",
        "tools.py": "from package.more import name\nimport score\n",
        "late/deep.py": "",
        "package/__init__.py": "from . import beside\nfrom .sub.inner import value\n",
        "package/part.py": "def broken(:\n",
        "package/more.py": "",
        "package/beside.py": "",
        "package/sub/inner.py": "",
        "package/unused.py": "",
        "data/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = script_files(str(tmp_path), "score.py")
    assert Path(found[0]) == tmp_path / "score.py"
    assert {str(Path(path).relative_to(tmp_path)) for path in found} == files.keys() - {
        "package/unused.py",
        "data/other.py",
    }


def test_a_script_in_a_subfolder_has_both_folders_on_its_path(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "score.py").write_text("import near, far\n")
    (tmp_path / "steps" / "near.py").touch()
    (tmp_path / "far.py").touch()
    found = script_files(str(tmp_path), "steps/score.py")
    assert [Path(path).name for path in found] == ["score.py", "near.py", "far.py"]
