"""A seat: the desk as one signed-in person may use it.

Each deed and each look demands its right first, here and nowhere else; dangerous ones also a fresh proof that the
person is still there. The pages have nothing but a seat, so what is not permitted here cannot be reached by them.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from ca.authority import passkeys, passwords, signin
from ca.authority.authority import Authority
from ca.authority.lights import Light, lights
from ca.people import Passkey, Person, Right, SignIn, demand, demand_fresh
from ca.records import Actor

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate["Seat", P], R]


def needs(right: Right, *, fresh: bool = False) -> Callable[[Method[P, R]], Method[P, R]]:
    """Demands the right before the method, and with `fresh` a proof of the last minutes (`ui.fresh`)."""

    def decorate(method: Method[P, R]) -> Method[P, R]:
        def guarded(self: "Seat", /, *args: P.args, **kwargs: P.kwargs) -> R:
            self.demand(right, fresh=fresh)
            return method(self, *args, **kwargs)

        update_wrapper(guarded, method)
        vars(guarded)["right"] = right
        return guarded

    return decorate


class Seat:
    """One person at the desk. What concerns the person alone (credentials, sign-ins) needs no right but being him."""

    def __init__(self, authority: Authority, person: Person, sign_in: SignIn) -> None:
        self._desk = authority
        self.person = person
        self.sign_in = sign_in

    @property
    def actor(self) -> Actor:
        """The person as the journal names him."""
        return self.sign_in.actor

    def may(self, right: Right) -> bool:
        """Whether a page should offer it: the desk asks again."""
        return right in self.person.rights

    def demand(self, right: Right, *, fresh: bool = False) -> None:
        """Raises `Denied` without the right, `StepUpNeeded` without a fresh proof."""
        demand(self.person, right)
        if fresh:
            self._demand_fresh()

    def _demand_fresh(self) -> None:
        demand_fresh(self.sign_in, self._desk.clock(), self._desk.config.ui.fresh)

    # --- the person himself -------------------------------------------------------------------

    def must_enrol(self) -> bool:
        """Whether there is no way yet to sign in again: then nothing else is open."""
        return signin.must_enrol(self._desk, self.person)

    def passkeys(self) -> tuple[Passkey, ...]:
        """His passkeys."""
        return self._desk.store.passkeys(self.person.id)

    def sign_ins(self) -> tuple[SignIn, ...]:
        """Where he is signed in."""
        return self._desk.store.sign_ins(self.person.id, self._desk.clock())

    def passkey_options(self) -> str:
        """JSON to make a passkey with; not the first one only after a fresh proof."""
        self._demand_fresh()
        return passkeys.creation_options(self._desk, self.person)

    def enrol_passkey(self, response: str, name: str) -> None:
        """Adds a passkey: see `ca.authority.signin`."""
        self._demand_fresh()
        signin.enrol_passkey(self._desk, self.person, self.sign_in, response, name)

    def totp_uri(self, secret: str) -> str:
        """The otpauth: URI of a TOTP secret."""
        return passwords.provisioning_uri(secret, self.person.id, "Certwright")

    def enrol_password(self, password: str, secret: str, code: str) -> None:
        """Sets password and one-time passwords: see `ca.authority.signin`."""
        self._demand_fresh()
        signin.enrol_password(self._desk, self.person, self.sign_in, password, secret, code)

    def remove_passkey(self, passkey_id: str) -> None:
        """Gives a passkey up."""
        self._demand_fresh()
        signin.remove_passkey(self._desk, self.person, self.sign_in, passkey_id)

    def end_sign_in(self, sign_in_id: str) -> None:
        """Ends one of his sign-ins."""
        signin.end(self._desk, self.person.id, sign_in_id, self.actor)

    def confirm_options(self) -> str:
        """JSON to prove by a passkey that he is still there."""
        return passkeys.request_options(self._desk, f"confirm:{self.sign_in.id}", self.passkeys())

    def confirm_by_passkey(self, response: str) -> None:
        """Makes the sign-in fresh."""
        signin.confirm_by_passkey(self._desk, self.person, self.sign_in, response)

    def confirm_by_password(self, password: str, code: str) -> None:
        """Makes the sign-in fresh."""
        signin.confirm_by_password(self._desk, self.person, self.sign_in, password, code)

    # --- watching -----------------------------------------------------------------------------

    @needs(Right.SEE)
    def lights(self) -> tuple[Light, ...]:
        """Whether the CA itself is well."""
        return lights(self._desk)

    # --- people -------------------------------------------------------------------------------

    @needs(Right.SEE_PEOPLE)
    def people(self) -> tuple[Person, ...]:
        """Everybody who may sign in."""
        return self._desk.store.people()


def take_seat(authority: Authority, secret: str) -> Seat:
    """The seat of whoever holds that cookie. Raises `Unauthenticated`."""
    return Seat(authority, *signin.look_up(authority, secret))
