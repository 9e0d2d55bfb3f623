"""Documents of a project, what was retrieved for a task, and what of it helped."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project
from labeling.models.run import Artifact
from labeling.models.task import Task


class DocumentQuerySet(models.QuerySet["Document"]):
    def present(self) -> DocumentQuerySet:
        return self.filter(removed_at__isnull=True)


class Document(models.Model):
    """A removed document stays for what was said with it, and is found no more."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="documents")
    external_id = models.CharField(max_length=200)
    title = models.CharField(max_length=500, blank=True)
    text = models.TextField()
    section = models.CharField(max_length=200, blank=True)
    content_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = DocumentQuerySet.as_manager()

    class Meta:
        ordering = ["project", "external_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"], name="document_external_id_once"
            )
        ]

    def __str__(self) -> str:
        return self.title or self.external_id


class Retrieved(models.Model):
    """A passage found for a task, with the version of the index that found it, and how: `method`
    is the hash of the reranker and the settings (`actions.retrieval.retrieval_method`)."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="retrieved")
    revision = models.PositiveIntegerField()
    index = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="+")
    method = models.CharField(max_length=64, blank=True)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveSmallIntegerField(help_text=_("From 1, the best."))
    score = models.FloatField()
    passage = models.TextField()

    class Meta:
        ordering = ["task", "rank"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "index", "method", "rank"], name="retrieved_rank_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id} #{self.rank}: {self.document}"


class HelpfulDocument(models.Model):
    """A member's mark that a document found for a task helped to label it."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="helpful_documents")
    revision = models.PositiveIntegerField()
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "member", "document"],
                name="helpful_document_once_per_member",
            )
        ]

    def __str__(self) -> str:
        return f"{self.member_id} on {self.task_id}: {self.document}"
