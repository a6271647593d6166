"""The command line: noun, then verb.

`COMMANDS` is the whole of it; a command's module is imported when that command runs or shows its own
help, so that `certwright --help` imports nothing but click. `run` is the edge where errors become
messages and exit codes.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from cli import problems
from cli.processes import join_supervisor
from cli.session import Session, config_option

NOUNS: Mapping[str, str] = {
    "backup": "Write an encrypted backup of the records.",
    "doctor": "Check everything, and say what to do about what is wrong.",
    "db": "The database's tables.",
    "config": "The configuration and where each value comes from.",
    "ca": "The hierarchy: root and issuing CAs.",
    "cert": "Certificates: issue, find, revoke.",
    "crl": "Revocation lists.",
    "ocsp": "Revocation answers.",
    "status": "What relying parties get.",
    "acme": "What ACME clients did here.",
    "acme account": "ACME accounts.",
    "acme eab": "Credentials by which ACME clients register (external account binding).",
    "acme order": "ACME orders.",
    "acme renewal": "When ACME clients renew.",
    "notify": "Telling people what they have to know.",
    "key": "Keys in the token.",
    "profile": "Kinds of certificates, and a bench to test them.",
    "token": "API tokens.",
    "user": "Who may sign in at the web UI.",
    "user certificate": "TLS client certificates that sign users in.",
    "audit": "The audit journal, and the signer's ledger.",
    "audit ledger": "The signer's ledger.",
    "trust": "This CA's root on this machine.",
}

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("cli.demo:demo", "Start a whole CA on this machine, to try it."),
    "serve": ("cli.serve:serve", "Run the service: all its processes, or one of them."),
    "doctor": ("cli.doctor:doctor", "Check everything, and say what to do about what is wrong."),
    "doctor clock": ("cli.clock:clock", "Say whether the wall clock is believed, and accept it."),
    "db migrate": ("cli.db:migrate", "Bring the tables up to date."),
    "db status": ("cli.db:status", "Say which migrations wait."),
    "config check": ("cli.config:check", "Check the configuration file."),
    "config approve": ("cli.config:approve", "Have a weaker policy looked at by a second person."),
    "config show": ("cli.config:show", "Show each value, and where it comes from."),
    "ca init": ("cli.ca:init", "Hold the ceremony: make a root and an issuing CA."),
    "ca ceremony": ("cli.ca:ceremony", "Sign the root's next CRLs, and revoke an issuing CA."),
    "ca cross-sign": ("cli.ca:cross_sign", "Have a root certify another CA's key."),
    "ca rotate": ("cli.ca:rotate", "Have the next generation of an issuing CA take over."),
    "ca list": ("cli.ca:list_", "List the issuers, every generation."),
    "ca show": ("cli.ca:show", "Show one issuer."),
    "cert assign": ("cli.keep:assign", "Hand certificates over to another team."),
    "cert issue": ("cli.cert:issue", "Issue a certificate for a CSR or a new key."),
    "cert renew": ("cli.cert:renew", "Issue the successor of a certificate."),
    "cert list": ("cli.cert:list_", "List certificates."),
    "cert show": ("cli.cert:show", "Show one certificate."),
    "cert revoke": ("cli.revoke:revoke", "Revoke a certificate, or many, and publish that."),
    "cert release": ("cli.revoke:release", "Take a hold back."),
    "cert revocations": ("cli.revoke:revocations", "List mass revocations and how far they are."),
    "cert orphans": ("cli.cert:orphans", "List serials that were given up."),
    "cert tag": ("cli.keep:tag", "Label certificates, to find them by."),
    "crl publish": ("cli.crl:publish", "Publish the CRLs that are due."),
    "crl show": ("cli.crl:show", "Show the published CRLs."),
    "crl adopt": ("cli.crl:adopt", "Take over revocations that published CRLs tell of."),
    "crl reshard": ("cli.crl:reshard", "Change the number of CRL shards."),
    "status probe": ("cli.status:probe", "Fetch what relying parties fetch, and verify it."),
    "status targets": ("cli.status:targets", "Show how each publication target stands."),
    "status resend": ("cli.status:resend", "Send everything to a publication target again."),
    "notify list": ("cli.notify:list_", "List the channels and the newest notices."),
    "notify test": ("cli.notify:test", "Have a channel tried."),
    "ocsp check": ("cli.ocsp:check", "Ask for a certificate's status as a client does."),
    "acme account list": ("cli.acme:accounts", "List the accounts."),
    "acme account show": ("cli.acme:account", "Show one account and its newest orders."),
    "acme account deactivate": ("cli.acme:deactivate", "End an account for ever."),
    "acme account resume": ("cli.acme:resume", "Let an account order what was paused."),
    "acme eab create": ("cli.eab:create", "Make a credential, with ready lines for clients."),
    "acme eab list": ("cli.eab:list_", "List the credentials."),
    "acme eab revoke": ("cli.eab:revoke", "End a credential and its accounts."),
    "acme order show": ("cli.acme:order", "Show an order, and each try of its challenges step by step."),
    "acme renewal call": ("cli.renewal:call", "Have certificates renewed early, and in turn."),
    "acme order list": ("cli.acme:orders", "List the orders, with what went wrong."),
    "key list": ("cli.key:list_", "List the keys."),
    "key show": ("cli.key:show", "Show one key and its attributes."),
    "key rotate": ("cli.key:rotate", "Give the journal's or a responder's key its successor."),
    "key block": ("cli.blocklist:block", "Block a compromised public key."),
    "key unblock": ("cli.blocklist:unblock", "Take a key off the blocklist."),
    "key blocked": ("cli.blocklist:blocked", "List the blocked keys."),
    "key provision": ("cli.key:provision", "Make a software token, without an HSM."),
    "key unlock": ("cli.key:unlock", "Try the corrected PIN once more."),
    "profile list": ("cli.profile:list_", "List the profiles."),
    "profile test": ("cli.profile:test", "Say whether a CSR would pass, and what decides."),
    "token create": ("cli.token:create", "Make a bearer token."),
    "token list": ("cli.token:list_", "List the tokens."),
    "token revoke": ("cli.token:revoke", "End a token."),
    "user invite": ("cli.user:invite", "Let somebody sign in at the web UI."),
    "user list": ("cli.user:list_", "List who may sign in."),
    "user link": ("cli.user:link", "Print a new one-time sign-in link."),
    "user grant": ("cli.user:grant", "Give a user other roles and teams."),
    "user disable": ("cli.user:disable", "Shut a user out."),
    "user enable": ("cli.user:enable", "Let a user in again."),
    "user certificate bind": ("cli.user_certificate:bind", "Let a client certificate sign a user in."),
    "user certificate list": ("cli.user_certificate:list_", "List client certificates and whom they sign in."),
    "user certificate unbind": ("cli.user_certificate:unbind", "End what a client certificate is good for."),
    "audit tail": ("cli.audit:tail", "Show the newest events."),
    "audit export": ("cli.audit:export", "Write every event, one a line."),
    "audit verify": ("cli.audit:verify", "Prove that the journal is whole, or that a proof of it holds."),
    "audit prove": ("cli.proof:prove", "Make a proof of one event that verifies offline."),
    "audit reconcile": ("cli.audit:reconcile", "Compare what was signed with the records."),
    "audit ledger export": ("cli.audit:export_ledger", "Write every entry of the ledger, one a line."),
    "audit ledger verify": ("cli.audit:verify_ledger", "Prove that the ledger is whole."),
    "backup": ("cli.backup:backup", "Write an encrypted backup of the records."),
    "backup key": ("cli.backup:key", "Make the key that opens backups."),
    "restore": ("cli.restore:restore", "Verify a backup, restore it, recover what it lacks."),
    "trust install": ("cli.trust:install", "Say how machines come to trust this CA."),
}


class Verbs(click.Group):
    """The commands and nouns that begin with `prefix` (`cert `), looked up in the tables, imported one by one."""

    def __init__(self, name: str, prefix: str, text: str) -> None:
        super().__init__(name, help=text, context_settings={"help_option_names": ["-h", "--help"]})
        self.prefix = prefix
        self.params.append(config_option())

    def stand_alone(self, command: click.Command) -> click.Group:
        """The same noun, which is a command too when no verb follows."""
        own = command.callback

        def callback(*words: object, **options: object) -> object:
            return None if click.get_current_context().invoked_subcommand or own is None else own(*words, **options)

        self.callback, self.params, self.help = callback, command.params, command.help
        self.invoke_without_command, self.no_args_is_help = True, False
        return self

    def list_commands(self, ctx: click.Context) -> list[str]:
        every = dict.fromkeys((*COMMANDS, *NOUNS))
        names = (name.removeprefix(self.prefix) for name in every if name.startswith(self.prefix))
        return [name for name in names if " " not in name]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        whole = self.prefix + cmd_name
        if whole in NOUNS:
            noun = Verbs(cmd_name, f"{whole} ", NOUNS[whole])
            return noun.stand_alone(load(cmd_name, *COMMANDS[whole])) if whole in COMMANDS else noun
        return load(cmd_name, *COMMANDS[whole]) if whole in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(self.prefix + name)) for name in self.list_commands(ctx)])

    def _summary(self, whole: str) -> str:
        return NOUNS[whole] if whole in NOUNS else COMMANDS[whole][1]


def load(name: str, target: str, summary: str) -> click.Command:
    """The command object at `module:attribute`, under the name that COMMANDS gives it."""
    module, _, attribute = target.partition(":")
    made = getattr(import_module(module), attribute)
    if not isinstance(made, click.Command):
        raise TypeError(f"{target} is no command")
    made.name, made.short_help = name, summary
    return made


def root() -> click.Command:
    """The whole command tree."""
    made = Verbs("certwright", "", "An internal PKI: CA in an HSM, ACME, CSR API, OCSP and CRLs, audit journal.")
    shown = click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version."
    )
    made.params.append(shown)
    return made


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Of the installed package, or of the checkout that this runs from."""
    if not wanted:
        return
    import tomllib
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("certwright")
    except PackageNotFoundError:
        project = Path(__file__).parent.parent / "pyproject.toml"
        number = tomllib.loads(project.read_text())["project"]["version"]
    click.echo(f"certwright {number}")
    context.exit()


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and answers the exit code; no traceback leaves here."""
    session = Session()
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        done = root().main(list(arguments), prog_name="certwright", standalone_mode=False, obj=session, color=colour)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped.", err=True)
        return problems.INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): nothing is wrong, and nothing can be said any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the edge of the command line
        return problems.show(error, as_json=session.json)
    return done if isinstance(done, int) else 0


def main() -> NoReturn:
    """The entry point `certwright`."""
    join_supervisor()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
