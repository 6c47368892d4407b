import asyncio

from interop.ordering import PatientLine


def test_items_of_one_patient_are_taken_one_at_a_time_in_order_of_arrival() -> None:
    async def scenario() -> list[str]:
        line, log = PatientLine(), list[str]()

        async def item(name: str, seconds: float) -> None:
            async with line.hold("A|1"):
                log.append(f"{name} starts")
                await asyncio.sleep(seconds)
                log.append(f"{name} ends")

        await asyncio.gather(item("first", 0.02), item("second", 0.01), item("third", 0))
        assert len(line) == 0, "locks of idle patients are given back"
        return log

    assert asyncio.run(scenario()) == [
        f"{n} {what}" for n in ("first", "second", "third") for what in ("starts", "ends")
    ]


def test_another_patient_does_not_wait() -> None:
    async def scenario() -> list[str]:
        line, log = PatientLine(), list[str]()

        async def item(key: str | None, seconds: float) -> None:
            async with line.hold(key):
                await asyncio.sleep(seconds)
                log.append(str(key))

        await asyncio.gather(item("A|1", 0.05), item("A|2", 0), item(None, 0.01))
        return log

    assert asyncio.run(scenario()) == ["A|2", "None", "A|1"]


def test_an_error_in_one_item_lets_the_next_one_in() -> None:
    async def scenario() -> bool:
        line = PatientLine()

        async def failing() -> None:
            async with line.hold("A|1"):
                raise RuntimeError("broken item")

        outcome = await asyncio.gather(failing(), return_exceptions=True)
        async with line.hold("A|1"):
            return isinstance(outcome[0], RuntimeError) and len(line) == 1

    assert asyncio.run(scenario())
