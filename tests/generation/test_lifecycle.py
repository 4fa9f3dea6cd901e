"""From claim to gallery: leases, races and the money that goes with them."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import Conflict, NotFound
from webapp.credits.selectors import get_balance
from webapp.generation import orphans, tasks
from webapp.generation.models import DiscardedFile, Image
from webapp.generation.queueing import claims, services, sweeping
from webapp.generation.queueing.claims import claim_next
from webapp.operations.audit import find_violations

START_UCR = 200_000_000
PRICE_UCR = 200_000


def end_lease(image_id: uuid.UUID) -> None:
    Image.objects.filter(pk=image_id).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_stored_image_is_charged_and_in_the_gallery(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    assert finish(claim(offered_model)) is True
    image = Image.objects.get()
    assert (image.state, image.lease_token) == ("stored", None)
    assert default_storage.exists(image.file)
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_an_image_is_stored_once_however_often_the_worker_says_so(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    assert [finish(claimed), finish(claimed)] == [True, True], "both times it is ours"
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR


def test_a_failed_image_is_not_charged(alice: User, offered_model: DiffusionModel) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    assert services.fail_image(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        code="out_of_memory",
        sentence="Too large.",
    )
    assert Image.objects.get().failure == "Too large."
    assert get_balance(user=alice).available_ucr == START_UCR
    assert not list(find_violations())


def test_nothing_queued_means_nothing_claimed(offered_model: DiffusionModel) -> None:
    assert claim_next(models=[offered_model.slug], worker="w") is None


def test_a_worker_claims_only_the_models_it_serves(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    assert claim_next(models=["another"], worker="w") is None


def test_an_ended_lease_gives_the_image_to_another_worker(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    first = claim(offered_model, "worker-1", begin=True)
    end_lease(first.image_id)
    assert sweeping.return_ended_leases() == 1
    second = claim(offered_model, "worker-2")
    assert (second.image_id, second.attempt) == (first.image_id, 2)
    assert finish(first) is False, "a zombie stores nothing"
    assert finish(second) is True
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_a_lost_lease_cannot_be_renewed(alice: User, offered_model: DiffusionModel) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    assert claims.renew(image_id=claimed.image_id, lease_token=claimed.lease_token)
    assert not claims.renew(image_id=claimed.image_id, lease_token=uuid.uuid4())


def test_after_three_lost_workers_the_image_fails_and_costs_nothing(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    for _attempt in range(3):
        end_lease(claim(offered_model, begin=True).image_id)
        sweeping.return_ended_leases()
    image = Image.objects.get()
    assert (image.state, image.failure_code) == ("failed", "worker_lost")
    assert get_balance(user=alice).available_ucr == START_UCR
    assert not list(find_violations())


def test_a_worker_that_shuts_down_gives_the_image_back_without_an_attempt(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model, begin=True)
    assert services.give_back_image(claim=claimed) is True
    assert claim(offered_model).attempt == 1


def test_a_file_written_by_a_killed_worker_is_removed(
    alice: User, offered_model: DiffusionModel
) -> None:
    from webapp.generation.storage import write_image_files

    submit(alice, offered_model)
    killed = claim(offered_model)
    orphan = write_image_files(
        image_id=killed.image_id, lease_token=killed.lease_token, png=b"p", thumbnail_webp=b"t"
    )
    end_lease(killed.image_id)
    sweeping.return_ended_leases()
    tasks.sweep_files()
    assert not default_storage.exists(orphan.name)
    assert not default_storage.exists(orphan.thumbnail)
    assert not DiscardedFile.objects.exists()


def test_a_queued_image_can_be_cancelled_and_costs_nothing(
    alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model, count=3)
    claim(offered_model)
    assert services.cancel_generation(owner=alice, generation_id=generation.pk) == 3
    assert services.cancel_generation(owner=alice, generation_id=generation.pk) == 0
    assert get_balance(user=alice).available_ucr == START_UCR
    assert claim_next(models=[offered_model.slug], worker="w") is None
    assert not list(find_violations())


def test_a_cancelled_image_is_not_stored_by_its_worker(
    alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model)
    claimed = claim(offered_model)
    services.cancel_generation(owner=alice, generation_id=generation.pk)
    assert finish(claimed) is False
    assert not list(find_violations())


@pytest.mark.django_db(transaction=True)
def test_cancel_and_store_of_one_image_have_one_winner(
    alice: User, offered_model: DiffusionModel
) -> None:
    for _round in range(8):
        submit(alice, offered_model)
        claimed = claim(offered_model)

        def race(turn: int, claimed: claims.Claim = claimed) -> bool:
            try:
                if turn % 2:
                    return services.cancel_image(owner=alice, image_id=claimed.image_id)
                return finish(claimed)
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            stored, cancelled, again, once_more = pool.map(race, range(4))
        assert stored is again, "who stores hears the same however often they ask"
        assert stored + cancelled + once_more == 1
    assert not list(find_violations(files=False))


def test_strangers_can_neither_cancel_nor_delete(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model)
    image = generation.images.get()
    with pytest.raises(NotFound):
        services.cancel_generation(owner=bob, generation_id=generation.pk)
    with pytest.raises(NotFound):
        services.cancel_image(owner=bob, image_id=image.pk)
    with pytest.raises(NotFound):
        services.delete_image(owner=bob, image_id=image.pk)


def test_a_deleted_picture_takes_its_files_and_leaves_the_books(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    finish(claim(offered_model))
    image = Image.objects.get()
    services.delete_image(owner=alice, image_id=image.pk)
    orphans.delete_discarded_files()
    assert not default_storage.exists(image.file)
    assert get_balance(user=alice).posted_ucr == START_UCR - PRICE_UCR
    assert not list(find_violations())


def test_a_developing_picture_is_cancelled_before_it_is_deleted(
    alice: User, offered_model: DiffusionModel
) -> None:
    generation = submit(alice, offered_model)
    with pytest.raises(Conflict, match="Cancel it first"):
        services.delete_image(owner=alice, image_id=generation.images.get().pk)


def test_one_persons_forty_images_do_not_delay_anothers_one(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    for _batch in range(4):
        submit(alice, offered_model, count=10)
    for _served in range(5):
        finish(claim(offered_model))
    submit(bob, offered_model)
    next_two = [claim(offered_model).owner_id for _turn in range(2)]
    assert bob.pk in next_two


def test_who_used_the_studio_alone_for_long_is_not_punished_later(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=10)
    for _served in range(10):
        finish(claim(offered_model))
    submit(bob, offered_model, count=6)
    submit(alice, offered_model, count=6)
    owners = [claim(offered_model).owner_id for _turn in range(6)]
    assert owners.count(alice.pk) == 3


def test_large_requests_count_more_than_small_ones(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=10, width_px=128, height_px=128)
    submit(bob, offered_model, count=10)
    owners = [claim(offered_model).owner_id for _turn in range(10)]
    assert owners.count(bob.pk) == 8


def test_fairness_holds_across_models(alice: User, bob: User) -> None:
    first, second = make_model("first"), make_model("second")
    submit(alice, first, count=10)
    submit(bob, second, count=10)
    owners = [
        found.owner_id
        for _turn in range(6)
        if (found := claim_next(models=["first", "second"], worker="w"))
    ]
    assert owners.count(alice.pk) == 3


@pytest.mark.django_db(transaction=True)
def test_eight_workers_never_claim_the_same_image(offered_model: DiffusionModel) -> None:
    for name in ("dora", "emil", "fay"):
        submit(make_user(name), offered_model, count=10)

    def work(turn: int) -> list[uuid.UUID]:
        mine = []
        try:
            while found := claim_next(models=[offered_model.slug], worker=f"w{turn}"):
                mine.append(found.image_id)
        finally:
            connection.close()
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [image_id for mine in pool.map(work, range(8)) for image_id in mine]
    assert len(claimed) == len(set(claimed))
    assert len(claimed) == 30
