"""The same list in a common stack: FastAPI, SQLAlchemy and a pydantic model of the response."""

from datetime import UTC, datetime
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict
from sqlalchemy import Boolean, DateTime, ForeignKey, Integer, Text, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

from benchmarks.peers.serving import POOL_SIZE, VIEW, Refused, Verifier, options


class Base(DeclarativeBase):
    """The base class of the tables."""


class Application(Base):
    """An application, with the columns of a list."""

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
    application: Mapped[Application | None] = relationship()
    is_archived: Mapped[bool] = mapped_column(Boolean)

    @property
    def application_name(self) -> str | None:
        """The name of its application, or None."""
        return self.application.application_name if self.application else None


Moment = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC).replace(tzinfo=None))]


class ScriptModel(BaseModel):
    """A job script in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    created_at: Moment
    updated_at: Moment
    job_script_name: str
    job_script_description: str | None
    job_script_files: None = None
    job_script_owner_email: str
    application_name: str | None
    application_id: int | None
    is_archived: bool


class PaginationModel(BaseModel):
    """The position of a page in its list."""

    total: int
    start: int
    limit: int


class ListModel(BaseModel):
    """A page of the list."""

    results: list[ScriptModel]
    pagination: PaginationModel


def build(database: str, issuer: str) -> FastAPI:
    """Return the web application."""
    url = database.replace("postgresql:", "postgresql+asyncpg:", 1)
    engine = create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0)
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
        page = select(Script).options(joinedload(Script.application)).where(where).order_by(Script.id)
        async with session_of() as session:
            total = await session.scalar(select(func.count()).select_from(Script).where(where))
            scripts = await session.scalars(page.offset(start * limit).limit(limit))
            results = [ScriptModel.model_validate(script) for script in scripts]
        pagination = PaginationModel(total=total or 0, start=start, limit=limit)
        return ListModel(results=results, pagination=pagination)

    @app.get("/jobbergate/ready")
    async def ready() -> None:
        return None

    return app


def main() -> None:
    """Serve the web application."""
    chosen = options()
    app = build(chosen.database, chosen.issuer)
    uvicorn.run(app, port=chosen.port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
