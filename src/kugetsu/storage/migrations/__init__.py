"""How the tables came to be, one numbered step after the other. A step that was released is never changed."""
