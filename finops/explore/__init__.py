"""The explorer's pages: what URLs ask, what pages show of answers, exports, saved views."""
