"""The action engine and the use cases: findings in, recommendations out. Pure."""
