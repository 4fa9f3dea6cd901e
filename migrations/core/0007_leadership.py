from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0006_notice_posted'),
    ]

    operations = [
        migrations.CreateModel(
            name='Leadership',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('holder', models.CharField(max_length=120)),
                ('until', models.DateTimeField()),
            ],
        ),
    ]
