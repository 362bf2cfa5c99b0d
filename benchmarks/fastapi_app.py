"""An endpoint that validates what it takes and what it gives."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Item(BaseModel):
    name: str = Field(max_length=100)
    price: float = Field(gt=0)
    tags: list[str] = []


class Receipt(BaseModel):
    name: str
    total: float


@app.post("/")
async def buy(item: Item) -> Receipt:
    return Receipt(name=item.name, total=item.price * 2)


@app.get("/")
async def index() -> Receipt:
    """Asked until the server is ready."""
    return Receipt(name="nothing", total=0.0)
