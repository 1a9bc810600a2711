"""The same list as most would write it today: FastAPI, SQLAlchemy and a pydantic model of the answer."""

from datetime import datetime
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import Boolean, DateTime, ForeignKey, Integer, Text, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.peers.serving import POOL_SIZE, VIEW, Refused, Verifier, options


class Base(DeclarativeBase):
    """The tables."""


class Application(Base):
    """An application, as far as a list shows it."""

    __tablename__ = "applications"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    application_name: Mapped[str] = mapped_column(Text)


class Script(Base):
    """A job script."""

    __tablename__ = "job_scripts"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    job_script_name: Mapped[str] = mapped_column(Text)
    job_script_description: Mapped[str | None] = mapped_column(Text)
    job_script_owner_email: Mapped[str] = mapped_column(Text)
    application_id: Mapped[int | None] = mapped_column(ForeignKey(Application.id))
    is_archived: Mapped[bool] = mapped_column(Boolean)


class ScriptModel(BaseModel):
    """A job script in an answer."""

    id: int
    created_at: datetime
    updated_at: datetime
    job_script_name: str
    job_script_description: str | None
    job_script_files: None = None
    job_script_owner_email: str
    application_name: str | None
    application_id: int | None
    is_archived: bool


class PaginationModel(BaseModel):
    """Where a page stands in its list."""

    total: int
    start: int
    limit: int


class ListModel(BaseModel):
    """A page of the list."""

    results: list[ScriptModel]
    pagination: PaginationModel


# Columns and not objects: an object of SQLAlchemy's for each row takes longer, and nothing here changes one.
COLUMNS = (
    Script.id,
    func.timezone("UTC", Script.created_at, type_=DateTime()).label("created_at"),
    func.timezone("UTC", Script.updated_at, type_=DateTime()).label("updated_at"),
    Script.job_script_name,
    Script.job_script_description,
    Script.job_script_owner_email,
    Application.application_name,
    Script.application_id,
    Script.is_archived,
)


def build(database: str, issuer: str) -> FastAPI:
    """The application."""
    engine = create_async_engine(
        database.replace("postgresql:", "postgresql+asyncpg:", 1),
        pool_size=POOL_SIZE,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",  # what only reads needs no transaction, whose BEGIN and ROLLBACK take time
    )
    session_of = async_sessionmaker(engine)
    verifier = Verifier(issuer)
    app = FastAPI()

    async def viewer(authorization: Annotated[str | None, Header()] = None) -> None:
        try:
            verifier.claims(authorization, VIEW)
        except Refused as refusal:
            raise HTTPException(refusal.status) from None

    @app.get("/jobbergate/job-scripts", dependencies=[Depends(viewer)])
    async def list_job_scripts(start: int, limit: int) -> ListModel:
        where = Script.is_archived.is_(False)
        page = select(*COLUMNS).outerjoin(Application, Application.id == Script.application_id).where(where)
        async with session_of() as session:
            total = await session.scalar(select(func.count()).select_from(Script).where(where))
            rows = (await session.execute(page.order_by(Script.id).offset(start * limit).limit(limit))).mappings()
            results = [ScriptModel.model_validate(dict(row)) for row in rows]
        pagination = PaginationModel(total=total or 0, start=start, limit=limit)
        return ListModel(results=results, pagination=pagination)

    @app.get("/jobbergate/ready")
    async def ready() -> None:
        return None

    return app


def main() -> None:
    """Serve."""
    chosen = options()
    app = build(chosen.database, chosen.issuer)
    uvicorn.run(app, port=chosen.port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
