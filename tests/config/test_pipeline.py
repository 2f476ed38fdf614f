"""Pipeline files: what is refused, in which words, and that plain data and Pipeline are the same thing."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.pipeline import begin_step, load_pipeline, pipeline_from_data, to_data
from mpibatch.config.pipeline_schema import ScriptStep
from mpibatch.config.schema import Job
from mpibatch.errors import JobFileError

Data = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline")
    (path / "prepare.py").write_text("print(1)\n")
    (path / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    return path


def script(name: str, **keys: Any) -> Data:
    return {"name": name, "script": "prepare.py", **keys}


def parallel(name: str, path: str = "data", **config: Any) -> Data:
    inputs = {"texts": {"type": "files", "path": path}}
    return {"name": name, "inputs": inputs, "parallel_run_config": {"entry_script": "score.py", **config}}


def pipeline(*steps: Data, **keys: Any) -> Data:
    return {"name": "tested", "steps": list(steps), **keys}


def problems(folder: Path, data: Data, *sets: str) -> str:
    with pytest.raises(JobFileError) as raised:
        pipeline_from_data(data, folder, sets=sets)
    return str(raised.value)


def output(name: str) -> str:
    return "${{ steps." + name + ".output }}"


def test_order_is_that_of_the_data_and_of_run_after(folder: Path) -> None:
    data = pipeline(
        script("report", arguments=[output("score") + "/rows.txt"]),
        parallel("score", output("prepare") + "/*.txt"),
        script("after", run_after=["report"]),
        script("prepare"),
    )
    read = pipeline_from_data(data, folder)
    assert [step.name for step in read.steps] == ["prepare", "score", "report", "after"]
    assert [step.needs for step in read.steps] == [(), ("prepare",), ("score",), ("report",)]


def test_a_step_gets_the_outputs_of_others_and_its_own(folder: Path) -> None:
    """In a glob the folder's own signs stay plain; elsewhere the path is as it is."""
    data = pipeline(
        script("prepare", arguments=["--out", output("prepare")]),
        parallel("score", output("prepare") + "/*.txt"),
    )
    read = pipeline_from_data(data, folder)
    outputs = {"prepare": "/run[1]/prepare", "score": "/run[1]/score"}
    prepare, score = (begin_step(read, step, outputs) for step in read.steps)
    assert isinstance(prepare, ScriptStep)
    assert prepare.arguments == ("--out", "/run[1]/prepare")
    assert prepare.source_directory == str(folder)
    assert isinstance(score, Job)
    assert score.inputs[0].paths == ("/run[[]1]/prepare/*.txt",)


def test_an_input_may_be_a_parameter(folder: Path) -> None:
    step = parallel("score")
    step["inputs"] = {"texts": "${{ parameters.texts }}"}
    data = pipeline(step, parameters={"texts": {"type": "files", "path": "one/*"}})
    read = pipeline_from_data(data, folder, sets=["texts=two/*"])
    job = begin_step(read, read.steps[0], {"score": "/out"})
    assert isinstance(job, Job)
    assert job.inputs[0].paths == (str(folder / "two" / "*"),)
    given = pipeline_from_data(data, folder, values={"texts": {"type": "files", "path": "three"}})
    assert given.parameters["texts"] == {"type": "files", "path": "three"}


def test_the_path_of_a_parameter_that_is_an_input(folder: Path) -> None:
    """One file or folder as it is; a glob or a list is the folder in common; the value given counts."""
    data = pipeline(script("one", arguments=["${{ parameters.texts.path }}"]))
    for path, expected in (
        ("prepare.py", "prepare.py"),
        ("one/*.txt", "one"),
        (["one/a/1.txt", "one/b/2.txt"], "one"),
        ({"manifest": "lists/files.txt"}, "lists/files.txt"),
    ):
        read = pipeline_from_data({**data, "parameters": {"texts": {"type": "files", "path": path}}}, folder)
        step = begin_step(read, read.steps[0], {"one": "/out"})
        assert step.arguments == (str(folder / expected),)
    url = {"texts": {"type": "files", "path": "s3://bucket/a/*.txt"}}
    given = pipeline_from_data({**data, "parameters": url}, folder)
    assert begin_step(given, given.steps[0], {"one": "/out"}).arguments == ("s3://bucket/a",)


def test_values_of_programs_are_of_the_type_of_the_default(folder: Path) -> None:
    data = pipeline(script("prepare"), parameters={"size": 5, "text": "5", "late": None})
    read = pipeline_from_data(data, folder, values={"size": "7", "text": "x", "late": 1})
    assert read.parameters == {"size": 7, "text": "x", "late": 1}
    with pytest.raises(JobFileError, match='parameter "size" is given true, but it is int'):
        pipeline_from_data(data, folder, values={"size": True, "late": 1})
    with pytest.raises(JobFileError, match='parameter "size" is given "many", and must give a whole number'):
        pipeline_from_data(data, folder, values={"size": "many", "late": 1})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pipeline(), "steps is an empty list; it must be a list of steps"),
        (pipeline("one"), 'steps[0] is "one"; it must be a step'),  # type: ignore[arg-type]
        (pipeline(script("Bad")), 'steps[0].name is "Bad"; it must be 3 to 32 lower-case letters'),
        (pipeline(script("one"), script("one")), 'two steps are called "one"'),
        (
            pipeline(script("one", run_after=["two"]), script("two", arguments=[output("one")])),
            "steps wait for each other: one needs two needs one",
        ),
        (pipeline(script("one", run_after=["on"])), "run_after names no step; did you mean one?"),
        (pipeline(script("one", arguments=[output("other")])), 'the output of "other", a step that does not exist'),
        (pipeline(script("one", arguments=["${{ steps.one.files }}"])), "a step has one output"),
        (pipeline(parallel("one", output("one"))), "inputs refers to its own output, which is not there yet"),
        (
            pipeline(script("one"), parameters={"day": None}),
            "parameters.day has no value; give it one: --set day=VALUE",
        ),
        (pipeline(script("one", arguments=["${{ parameters.day }}"])), 'unknown parameter "day"'),
        (pipeline(script("one", timeout=-1)), "step one: timeout is -1; it must be a number of seconds above 0"),
        (pipeline(script("one", script="none.py")), 'step one: script is "none.py", but there is no file'),
        (pipeline(script("one", argument=[])), "step one: argument is unknown; did you mean arguments?"),
        (
            pipeline(parallel("one", mini_batch_size=1, partition_keys=["a"])),
            "step one: parallel_run_config.mini_batch_size cannot be combined with partition_keys",
        ),
        (
            pipeline({**parallel("one"), "arguments": ["--mini_batch_size", 5]}),
            "step one: arguments has --mini_batch_size, which ParallelRunStep reserves",
        ),
        (
            pipeline(script("one", side_inputs={"x": {"path": "prepare.py", "stage": "node"}})),
            "step one: side_inputs.x.stage is for parallel steps",
        ),
        (pipeline(script("one", outputs={"a b": {}})), 'step one: outputs["a b"] is not a valid name'),
        (
            pipeline(script("one", outputs={"made": {"folder": "../x"}})),
            'step one: outputs.made.folder is "../x"; it must be a folder inside the output',
        ),
        (
            pipeline(script("one", outputs={"made": {"destinatoin": "x"}})),
            "step one: outputs.made.destinatoin is unknown; did you mean destination? Valid here: folder, destination",
        ),
        (pipeline(script("one", output="x")), "steps[0].output belongs to the pipeline"),
        (
            pipeline(script("one", parallel_run_config={})),
            "steps[0] has both script and parallel_run_config",
        ),
        (pipeline(script("one"), allow_reuse="yes"), 'allow_reuse is "yes"; it must be true or false'),
    ],
)
def test_what_is_refused(folder: Path, data: Data, said: str) -> None:
    assert said in problems(folder, data)


def test_a_parameter_of_another_type_is_refused(folder: Path) -> None:
    data = pipeline(script("one"), parameters={"size": 5})
    assert "must give a whole number" in problems(folder, data, "size=many")


words = st.sampled_from(["first", "second"])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0$"), max_size=8)
arguments = st.lists(st.one_of(texts, st.integers(-100, 100), st.booleans(), st.just(output("step-0"))), max_size=3)

named_outputs = st.dictionaries(
    st.sampled_from(["one", "two"]),
    st.fixed_dictionaries(
        {}, optional={"folder": st.just("a/b"), "destination": st.just("/x/{run-id}"), "dataset": words}
    ),
    max_size=2,
)


@st.composite
def pipelines(draw: st.DrawFn) -> Data:
    steps: list[Data] = [script("step-0")]
    for number in range(1, draw(st.integers(1, 4))):
        earlier = draw(st.sampled_from([step["name"] for step in steps]))
        made = draw(st.sampled_from([script(f"step-{number}"), parallel(f"step-{number}", output(earlier) + "/*")]))
        options = {"run_after": [earlier], "allow_reuse": draw(st.booleans()), "outputs": draw(named_outputs)}
        steps.append({**made, "arguments": draw(arguments), **options})
    parameters: Data = draw(
        st.dictionaries(st.sampled_from(["one", "two"]), st.one_of(st.integers(0, 9), st.booleans()))
    )
    parameters["whole"] = {"type": "files", "path": draw(texts)}
    return pipeline(
        *draw(st.permutations(steps)), parameters=parameters, reuse=draw(st.sampled_from(["strict", "metadata"]))
    )


@given(pipelines())
def test_plain_data_and_back_loses_nothing(folder: Path, data: Data) -> None:
    """Through YAML too, as the run directory keeps it."""
    read = pipeline_from_data(data, folder)
    again = pipeline_from_data(yaml.safe_load(yaml.safe_dump(to_data(read), sort_keys=False)), folder)
    assert again == read


def test_a_file_says_its_folder(folder: Path) -> None:
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline(script("one"))))
    read = load_pipeline(folder / "pipeline.yaml")
    assert (read.folder, read.file) == (str(folder), str(folder / "pipeline.yaml"))
    assert read.settings.output == str(folder / "runs")
