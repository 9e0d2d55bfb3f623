"""The next texts for a training loop outside."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.lease import see_machines_of
from labeling.actions.next_texts import Strategy, next_texts
from labeling.api.base import ProjectEndpoint, StrictSerializer, read_query
from labeling.api.schema import answers
from labeling.api.serializers.next_texts import NextSerializer

MOST = 500


class NextQuery(StrictSerializer):
    strategy = serializers.ChoiceField(
        [one.value for one in Strategy],
        default=Strategy.MARGIN.value,
        help_text="`coverage`: of the labels that stand for the fewest tasks, in turns. "
        "`disagreement`: of the validators. `random`: to compare the others with.",
    )
    n = serializers.IntegerField(min_value=1, max_value=MOST, default=20)
    seed = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, default=0, help_text="The same seed, the same draw."
    )
    leased = serializers.BooleanField(
        default=False, help_text="Also texts that somebody has in hand just now."
    )
    diverse = serializers.BooleanField(
        default=False, help_text="No copies, and, where embeddings are stored, no near-duplicates."
    )


class NextView(ProjectEndpoint):
    required = {"GET": Right.SEE}
    machine_output = True

    @extend_schema(
        operation_id="next_texts",
        parameters=[NextQuery],
        responses=answers({200: NextSerializer}, 400, 404),
        tags=["tasks"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The texts that wait for people and are most worth an answer. Never those of the
        benchmark or of audits. Nothing is claimed: asking again gives the same ones until they
        are answered."""
        wanted = read_query(NextQuery, request)
        wanted["strategy"] = Strategy(wanted["strategy"])
        chosen = next_texts(member=self.member, **wanted)
        see_machines_of(member=self.member, tasks=[one.task for one in chosen.texts])
        data = NextSerializer(
            {
                "strategy": wanted["strategy"],
                "looked_at": chosen.looked_at,
                "all_seen": chosen.all_seen,
                "texts": chosen.texts,
            }
        ).data
        return Response(data)
