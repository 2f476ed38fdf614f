"""`mpibatch --help`: the commands in groups."""

import click

PROGRAM = "mpibatch"

GROUPS = {
    "Run a job": ("run", "resume", "submit", "cancel"),
    "Write a job": ("init", "import", "validate", "debug", "schema"),
    "Look at runs": ("status", "runs", "failures", "report", "clean"),
    "Workspace": ("models", "datastores", "datasets"),
    "Set up": ("doctor", "completion"),
}


class GroupedCommands(click.Group):
    """`--help` lists commands by what one wants to do."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = [name for names in GROUPS.values() for name in names]
        others = tuple(name for name in self.list_commands(ctx) if name not in named)
        for title, names in (*GROUPS.items(), ("More", others)):
            rows = [(name, self.commands[name].get_short_help_str(70)) for name in names if name in self.commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
