"""Saved views: queries that people keep under a name."""

from ca.people import SavedView
from ca.store.office import Office
from ca.store.tables import SAVED_VIEW

SHOWN = 200
"""Views of others that are read at once."""


class Views(Office):
    """What people search for again and again."""

    def views(self, person: str) -> tuple[SavedView, ...]:
        """A person's own, by name."""
        return self.select(SAVED_VIEW, "WHERE person = ? ORDER BY name", person)

    def shared_views(self, teams: tuple[str, ...]) -> tuple[SavedView, ...]:
        """Those that are shared with one of the teams, by name."""
        if not teams:
            return ()
        marks = ", ".join("?" * len(teams))
        tail = f"WHERE team IN ({marks}) AND team <> '' ORDER BY name, id LIMIT ?"
        return self.select(SAVED_VIEW, tail, *teams, SHOWN)

    def count_views_for_change(self, person: str) -> int:
        """How many views a person has; nobody else counts them until the open transaction ends."""
        self.rows("SELECT id FROM person WHERE id = ? {for_update}", person)
        return int(self.rows("SELECT count(*) FROM saved_view WHERE person = ?", person)[0][0])

    def add_view(self, view: SavedView) -> None:
        """Records a new view. Raises `Conflict` if its person has one of that name."""
        self.insert(SAVED_VIEW, view)

    def change_view(self, view: SavedView) -> None:
        """Exchanges name, query and team. Raises `Conflict` if its person has another of that name."""
        sql = "UPDATE saved_view SET name = ?, query = ?, team = ? WHERE id = ? AND person = ?"
        self.change(sql, view.name, view.query, view.team, view.id, view.person)

    def delete_view(self, view: SavedView) -> None:
        """Forgets a view; twice is no error."""
        self.change("DELETE FROM saved_view WHERE id = ? AND person = ?", view.id, view.person)
